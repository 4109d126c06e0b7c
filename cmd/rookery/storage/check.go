package storage

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/storage/command"
	"rookery/storage/pack/check"
)

// defaultSample is the share of the packs that a check reads unless told.
const defaultSample = "5%"

func storageCheckVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "check", Short: "read packs in the object store and find what is damaged", Args: cobra.ExactArgs(0),
		Long: `Reads a sample of the packs in the object store, or all of them, and compares
them with the digests they carry and with the state of their groups: that the
object is there with its size, that its header and footer can be read, that each
body has its SHA-256, and that bodies lie where the state says. Each group is
checked by a node that has a replica. What is wrong is named with its group,
pack and body; for mail it says whose, in which mailbox under which UID, and
where a good copy is left. It reads at most 32 MiB a second (-rate). Where it was
interrupted it says with which -from to go on.

With -repair damaged bodies are packed anew from a copy that passes all checks:
another place in the store, this node's log or another's. Else nothing changes.`,
		Example:     "  rookery storage check -sample 10% -data /var/lib/rookery",
		Annotations: cli.Exits("5 the store or a group did not answer and packs are left unchecked", "6 a body stays damaged that mail needs"),
	}
	f := v.Flags()
	sample := f.String("sample", defaultSample, "share of the packs to read: 5% or 0.05")
	all := f.Bool("all", false, "read every pack, and look at every body's record")
	repair := f.Bool("repair", false, "pack damaged bodies anew where a good copy is left")
	rate := f.Int64("rate", 32, "MiB a second to read at most")
	from := f.String("from", "", "go on behind this `GROUP/PACK`, as an interrupted check said")
	v.RunE = func(c *cobra.Command, _ []string) error {
		o, err := checkOrder(*sample, *all, *rate, *from)
		if err != nil {
			return err
		}
		o.Repair = *repair
		return newCheckCall(a, *repair).run(c.Context(), a.Admin(), o)
	}
	return v
}

func checkOrder(sample string, all bool, rate int64, from string) (o adminapi.CheckOrder, err error) {
	if all {
		sample = "100%"
	}
	number, percent := strings.CutSuffix(sample, "%")
	if o.Sample, err = strconv.ParseFloat(number, 64); percent {
		o.Sample /= 100
	}
	if err != nil || !(o.Sample > 0 && o.Sample <= 1) {
		return o, cli.Usagef("-sample %q is no share such as 5%% or 0.05", sample)
	}
	if rate < 1 || rate > 1<<20 {
		return o, cli.Usagef("-rate must be 1 to %d", 1<<20)
	}
	o.Rate = rate << 20
	if from == "" {
		return o, nil
	}
	group, id, ok := strings.Cut(from, "/")
	n, err := strconv.ParseUint(group, 10, 32)
	if !ok || err != nil || n == 0 {
		return o, cli.Usagef("-from %q is not GROUP/PACK", from)
	}
	o.From, o.After = rookery.GroupID(n), command.PackID(id)
	return o, nil
}

// checkCall prints what a check tells.
type checkCall struct {
	*cli.Asking
	repair bool
	bar    *cli.Progress

	done   map[rookery.GroupID]check.Progress
	last   adminapi.CheckProgress
	bodies map[damagedBody]bool // needed by mail; true: a good copy is left
	result checkResult
}

func newCheckCall(a *cli.Asking, repair bool) *checkCall {
	return &checkCall{Asking: a, repair: repair, bar: cli.NewProgress(a.Err),
		done: map[rookery.GroupID]check.Progress{}, bodies: map[damagedBody]bool{}}
}

type damagedBody struct {
	group rookery.GroupID
	body  command.BodyID
}

// checkResult is what rookery storage check --json prints last.
type checkResult struct {
	Packs     int   `json:"packs"`
	Passed    int   `json:"passed_over"`
	Bytes     int64 `json:"bytes"`
	Unchecked int   `json:"unchecked"`
	Findings  int   `json:"findings"`
	// Damaged bodies are needed by mail; of them Mended were packed anew and
	// Copies have a good copy left.
	Damaged  int  `json:"damaged_bodies"`
	Copies   int  `json:"with_a_good_copy"`
	Mended   int  `json:"mended"`
	Complete bool `json:"complete"`
	// Resume is the -from to go on with, where it is not complete.
	Resume string `json:"resume,omitempty"`
}

func (c *checkCall) run(ctx context.Context, admin *adminapi.Client, o adminapi.CheckOrder) error {
	err := admin.CheckStorage(ctx, o, c.event)
	c.bar.Clear()
	for _, p := range c.done {
		c.result.Packs += p.Packs
		c.result.Passed += p.Passed
		c.result.Bytes += p.Bytes
		c.result.Unchecked += p.Unchecked
	}
	c.result.Damaged = len(c.bodies)
	for _, copied := range c.bodies {
		if copied {
			c.result.Copies++
		}
	}
	if c.result.Complete = err == nil; err != nil && c.last.Group != 0 {
		c.result.Resume = fmt.Sprintf("%d/%s", c.last.Group, c.last.Pack)
	}
	if perr := c.finish(); perr != nil {
		return perr
	}
	switch {
	case err != nil && c.result.Resume != "":
		return rookery.E("check", 0, fmt.Errorf("%w; go on with -from %s", err, c.result.Resume))
	case err != nil:
		return err
	case c.result.Damaged > c.result.Mended:
		return rookery.E("check", rookery.KindDamaged, errors.New(c.advice()))
	case c.result.Unchecked > 0:
		return rookery.E("check", rookery.KindUnavailable, fmt.Errorf("%d packs could not be read now; check again", c.result.Unchecked))
	}
	return nil
}

// advice says what to do about what stays damaged.
func (c *checkCall) advice() string {
	left, copied := c.result.Damaged-c.result.Mended, c.result.Copies-c.result.Mended
	text := fmt.Sprintf("%d bodies that mail needs are damaged in the object store", left)
	switch {
	case copied == 0:
		return text + "; no good copy of them was found: bring the objects back by what the store offers (versions, replicas) or " +
			"restore the mail from a backup"
	case c.repair:
		return text + "; check again with -repair"
	}
	return fmt.Sprintf("%s; %d of them can be mended from a copy with -repair", text, copied)
}

func (c *checkCall) event(e adminapi.CheckEvent) error {
	if e.Progress != nil {
		c.last = *e.Progress
		c.done[e.Progress.Group] = e.Progress.Progress
		c.bar.Show(share(c.last), fmt.Sprintf("group %d, %d findings", c.last.Group, c.result.Findings))
		return nil
	}
	c.bar.Clear()
	switch {
	case e.Finding != nil:
		c.result.Findings++
		if f := e.Finding; f.Needed && f.Body != 0 {
			c.bodies[damagedBody{f.Group, f.Body}] = false
		}
	case e.Affected != nil && e.Affected.Copy != "":
		c.bodies[damagedBody{e.Affected.Group, e.Affected.Body}] = true
	case e.Mended != nil:
		c.bodies[damagedBody{e.Mended.Group, e.Mended.Body}] = true
		c.result.Mended++
	}
	if c.JSON {
		return c.Line(e)
	}
	return c.print(e)
}

// share is how much of the whole is done, each group counted alike.
func share(p adminapi.CheckProgress) float64 {
	part := 1.0
	if !p.Done && p.Of > 0 {
		part = float64(p.Packs+p.Passed+p.Unchecked) / float64(p.Of)
	}
	return (float64(p.Index) + part) / float64(max(p.Groups, 1))
}

func (c *checkCall) print(e adminapi.CheckEvent) (err error) {
	switch {
	case e.Finding != nil:
		err = c.printFinding(e.Finding)
	case e.Affected != nil:
		a := e.Affected
		place := fmt.Sprintf("UID %d of %q", a.UID, a.Mailbox)
		if a.UID == 0 {
			place = "among the recoverable messages"
		}
		left := "no good copy is left"
		if a.Copy != "" {
			left = "a good copy is in " + a.Copy
		}
		_, err = fmt.Fprintf(c.Out, "  body %d is mail of account %s, %s; %s\n", a.Body, a.Account, place, left)
	case e.Mended != nil:
		_, err = fmt.Fprintf(c.Out, "group %d: body %d was packed anew from %s\n", e.Mended.Group, e.Mended.Body, e.Mended.From)
	}
	return err
}

func (c *checkCall) printFinding(f *check.Finding) error {
	what := "pack " + string(f.Pack)
	if f.Body != 0 {
		what = fmt.Sprintf("body %d of pack %s", f.Body, f.Pack)
	}
	needed := "no mail needs it"
	if f.Needed {
		needed = "mail needs it"
	}
	_, err := fmt.Fprintf(c.Out, "group %d: %s: %s: %s (%s)\n", f.Group, what, f.Fault, f.Detail, needed)
	return err
}

func (c *checkCall) finish() error {
	if c.JSON {
		return c.Line(map[string]checkResult{"result": c.result})
	}
	r := c.result
	_, err := fmt.Fprintf(c.Out, "%d packs read (%d MiB), %d passed over, %d not readable now; %d findings, %d damaged bodies, "+
		"%d mended\n", r.Packs, r.Bytes>>20, r.Passed, r.Unchecked, r.Findings, r.Damaged, r.Mended)
	return err
}
