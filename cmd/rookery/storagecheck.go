package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"rookery"
	"rookery/cmd/node"
	"rookery/storage/command"
	"rookery/storage/pack"
)

// defaultSample is the share of the packs that a check reads unless told.
const defaultSample = "5%"

func storageCheckVerb() verb {
	v := verb{name: "storage check", args: "[-sample SHARE | -all] [-rate MIB] [-from GROUP/PACK] [-data DIR | -socket PATH] [--json]",
		short: "read packs in the object store and find what is damaged",
		long: `Reads a sample of the packs in the object store, or all of them, and compares
them with the digests they carry and with the state of their groups: that the
object is there with its size, that its header and footer can be read, that each
body has its SHA-256, and that bodies lie where the state says. Each group is
checked by a node that has a replica. What is wrong is named with its group,
pack and body, and what to do. It changes nothing, and reads at most 32 MiB a
second (-rate). Where it was interrupted it says with which -from to go on.

Exit code 6 when something is damaged that mail needs, 5 when the store or a
group did not answer and packs are left unchecked.

Example: rookery storage check -sample 10% -data /var/lib/rookery`}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		sample := f.String("sample", defaultSample, "share of the packs to read: 5% or 0.05")
		all := f.Bool("all", false, "read every pack, and look at every body's record")
		rate := f.Int64("rate", 32, "MiB a second to read at most")
		from := f.String("from", "", "go on behind this `GROUP/PACK`, as an interrupted check said")
		asJSON := f.Bool("json", false, "print each finding and the result as a line of JSON")
		if err := parse(f, args); err != nil {
			return err
		}
		if f.NArg() > 0 {
			return usagef("takes no arguments, only flags")
		}
		o, err := checkOrder(*sample, *all, *rate, *from)
		if err != nil {
			return err
		}
		c := &checkCall{shell: s, json: *asJSON, bar: newProgress(s.err)}
		return c.run(ctx, admin(), o)
	}
	return v
}

func checkOrder(sample string, all bool, rate int64, from string) (o node.CheckOrder, err error) {
	if all {
		sample = "100%"
	}
	number, percent := strings.CutSuffix(sample, "%")
	if o.Sample, err = strconv.ParseFloat(number, 64); percent {
		o.Sample /= 100
	}
	if err != nil || !(o.Sample > 0 && o.Sample <= 1) {
		return o, usagef("-sample %q is no share such as 5%% or 0.05", sample)
	}
	if rate < 1 || rate > 1<<20 {
		return o, usagef("-rate must be 1 to %d", 1<<20)
	}
	o.Rate = rate << 20
	if from == "" {
		return o, nil
	}
	group, id, ok := strings.Cut(from, "/")
	n, err := strconv.ParseUint(group, 10, 32)
	if !ok || err != nil || n == 0 {
		return o, usagef("-from %q is not GROUP/PACK", from)
	}
	o.From, o.After = rookery.GroupID(n), command.PackID(id)
	return o, nil
}

// checkCall prints what a check tells.
type checkCall struct {
	*shell
	json bool
	bar  *progress

	done   map[rookery.GroupID]pack.Progress
	last   node.CheckProgress
	result checkResult
}

// checkResult is what rookery storage check --json prints last.
type checkResult struct {
	Packs     int   `json:"packs"`
	Passed    int   `json:"passed_over"`
	Bytes     int64 `json:"bytes"`
	Unchecked int   `json:"unchecked"`
	Findings  int   `json:"findings"`
	Needed    int   `json:"findings_that_mail_needs"`
	Complete  bool  `json:"complete"`
	// Resume is the -from to go on with, where it is not complete.
	Resume string `json:"resume,omitempty"`
}

func (c *checkCall) run(ctx context.Context, admin *node.AdminClient, o node.CheckOrder) error {
	c.done = map[rookery.GroupID]pack.Progress{}
	err := admin.CheckStorage(ctx, o, c.event)
	c.bar.clear()
	for _, p := range c.done {
		c.result.Packs += p.Packs
		c.result.Passed += p.Passed
		c.result.Bytes += p.Bytes
		c.result.Unchecked += p.Unchecked
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
	case c.result.Needed > 0:
		return rookery.E("check", rookery.KindDamaged, fmt.Errorf("%d findings concern mail", c.result.Needed))
	case c.result.Unchecked > 0:
		return rookery.E("check", rookery.KindUnavailable, fmt.Errorf("%d packs could not be read now; check again", c.result.Unchecked))
	}
	return nil
}

func (c *checkCall) event(e node.CheckEvent) error {
	switch {
	case e.Finding != nil:
		c.result.Findings++
		if e.Finding.Needed {
			c.result.Needed++
		}
		c.bar.clear()
		if c.json {
			return json.NewEncoder(c.out).Encode(e)
		}
		return c.print(e.Finding)
	case e.Progress != nil:
		c.last = *e.Progress
		c.done[e.Progress.Group] = e.Progress.Progress
		c.bar.show(share(c.last), fmt.Sprintf("group %d, %d findings", c.last.Group, c.result.Findings))
	}
	return nil
}

// share is how much of the whole is done, each group counted alike.
func share(p node.CheckProgress) float64 {
	part := 1.0
	if !p.Done && p.Of > 0 {
		part = float64(p.Packs+p.Passed+p.Unchecked) / float64(p.Of)
	}
	return (float64(p.Index) + part) / float64(max(p.Groups, 1))
}

func (c *checkCall) print(f *pack.Finding) error {
	what := "pack " + string(f.Pack)
	if f.Body != 0 {
		what = fmt.Sprintf("body %d of pack %s", f.Body, f.Pack)
	}
	needed := "no mail needs it"
	if f.Needed {
		needed = "mail needs it"
	}
	_, err := fmt.Fprintf(c.out, "group %d: %s: %s: %s (%s)\n", f.Group, what, f.Fault, f.Detail, needed)
	return err
}

func (c *checkCall) finish() error {
	if c.json {
		return json.NewEncoder(c.out).Encode(map[string]checkResult{"result": c.result})
	}
	r := c.result
	_, err := fmt.Fprintf(c.out, "%d packs read (%d MiB), %d passed over, %d not readable now; %d findings\n", r.Packs, r.Bytes>>20, r.Passed, r.Unchecked, r.Findings)
	return err
}
