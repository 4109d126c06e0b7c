package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
)

const verifyLong = `Reads the archive back and says whether what it promises can be brought back. Each bad
object is named, with what is wrong, which span of time is lost by it, and what to do.

  metadata  every image and segment that a retained time needs opens, is what was
            written there, and joins with the others without a gap; the keys beside
            the archive are those in use
  sample    also some messages of each group, of accounts and ages picked at random,
            are read, decrypted and compared with their digest and length
  all       also every body that a retained time needs; takes long

Nothing is changed, and no message is shown or kept. It ends with the command.`

func verifyVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "verify", Short: "read the archive back, and find what cannot be restored", Args: cobra.ExactArgs(0), Long: verifyLong,
		Example: "  rookery backup verify\n  rookery backup verify -depth sample -sample 1000\n" +
			"  rookery backup verify -depth all -account anna@example.com",
		Annotations: cli.Exits("3 there is no such account",
			"5 the cluster or a store did not answer, and a part is left unchecked", "6 something is not as it was written, or is missing"),
	}
	o := adminapi.VerifyOrder{}
	f := v.Flags()
	f.StringVar(&o.Depth, "depth", "metadata", "metadata, sample or all")
	f.IntVar(&o.Sample, "sample", 200, "how many messages of each group are read with -depth sample")
	f.StringVar(&o.Account, "account", "", "read messages of this account alone, and of the archive its group")
	v.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case o.Depth != "metadata" && o.Depth != "sample" && o.Depth != "all":
			return cli.Usagef("-depth is metadata, sample or all, not %q", o.Depth)
		case o.Sample < 1:
			return cli.Usagef("-sample must be 1 or more")
		}
		x := verifyCall{a: a, bar: cli.NewProgress(a.Progress())}
		return x.run(c.Context(), o)
	}
	return v
}

// verifyCall prints what a verification tells.
type verifyCall struct {
	a      *cli.Asking
	bar    *cli.Progress
	result *adminapi.VerifyResult
}

func (x *verifyCall) run(ctx context.Context, o adminapi.VerifyOrder) error {
	x.bar.Count("The archive is listed...")
	err := x.a.Admin().VerifyBackup(ctx, o, x.event)
	x.bar.Clear()
	if err != nil {
		return err
	}
	r := x.result
	switch {
	case r == nil:
		return rookery.E("verify", rookery.KindUnavailable, errors.New("the node did not say how it ended; verify again"))
	case r.Findings > 0:
		return rookery.E("verify", rookery.KindDamaged, fmt.Errorf("the archive is not what it should be: %s", plural.Of(r.Findings, "finding")))
	case r.Unchecked > 0:
		return rookery.E("verify", rookery.KindUnavailable, fmt.Errorf("%d could not be read now; verify again", r.Unchecked))
	}
	return nil
}

func (x *verifyCall) event(e adminapi.VerifyEvent) error {
	if p := e.Progress; p != nil {
		switch {
		case p.Of == 0:
			x.bar.Count(fmt.Sprintf("group %d: %s read", p.Group, plural.Of(p.Done, "message")))
		case p.Messages:
			x.bar.Show(float64(p.Done)/float64(p.Of), fmt.Sprintf("group %d, messages", p.Group))
		default:
			x.bar.Show(float64(p.Done)/float64(p.Of), fmt.Sprintf("group %d, %d of %d objects", p.Group, p.Done, p.Of))
		}
		return nil
	}
	x.bar.Clear()
	if e.Result != nil {
		x.result = e.Result
	}
	if x.a.JSON {
		return x.a.Line(e)
	}
	if e.Finding != nil {
		return x.finding(e.Finding)
	}
	return x.sum(e.Result)
}

func (x *verifyCall) finding(f *adminapi.VerifyFinding) error {
	where := f.Key
	if f.Group != 0 {
		where = fmt.Sprintf("group %d: %s", f.Group, f.Key)
	}
	if _, err := fmt.Fprintf(x.a.Out, "%s: %s: %s\n", where, f.Fault, cli.Printable(f.Detail, 400)); err != nil {
		return err
	}
	if f.Account != "" {
		what := "account " + f.Account
		if f.Email != "" {
			what = fmt.Sprintf("message %s of %s", f.Email, what)
		}
		if _, err := fmt.Fprintf(x.a.Out, "  concerns: %s, as of %s\n", what, stampOr(f.At, "-")); err != nil {
			return err
		}
	}
	if f.Lost {
		from, to := stampOr(f.From, "the beginning"), stampOr(f.To, "the next image")
		if _, err := fmt.Fprintf(x.a.Out, "  lost:     %s to %s\n", from, to); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(x.a.Out, "  do:       %s\n", f.Mend)
	return err
}

func stampOr(t *time.Time, or string) string {
	if t == nil {
		return or
	}
	return cli.Stamp(*t)
}

func (x *verifyCall) sum(r *adminapi.VerifyResult) error {
	if r == nil {
		return nil
	}
	_, err := fmt.Fprintf(x.a.Out, "%s and %s opened (%s), %s looked at, %s read, %d not readable now; %s, %s on record\n",
		plural.Of(r.Images, "image"), plural.Of(r.Segments, "segment"), size(r.Bytes), plural.Of(r.Packs, "pack"),
		plural.Of(r.Messages, "message"), r.Unchecked, plural.Of(r.Findings, "finding"), plural.Of(r.Gaps, "gap"))
	return err
}
