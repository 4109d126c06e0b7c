package backup

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
	"rookery/storage/command"
)

// kept is what a hold does and does not keep.
const kept = `It keeps every pack in the object store that had something mail needed at some time of
the hold, also after the mail is expunged and purged. It does not keep the archive's
images and segments, which tell what a mailbox had: backup.window and the kept points
do. It does not keep an account from being erased.`

func holdVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "hold", Short: "keep the bodies of messages from being deleted",
		Long:    "Places and lists holds. By default a hold begins now and has no end.\n" + kept,
		Example: `  rookery backup hold add case-7 -reason "court order 12/26"`,
	}
	h := holdCall{a}
	return cli.Family(v, h.addVerb(),
		&cobra.Command{
			Use: "list", Short: "show holds, restore points and pins with the groups that have them", Args: cobra.ExactArgs(0),
			Example: "  rookery backup hold list", Annotations: cli.Exits("5 a group did not answer: what it holds is not shown"),
			RunE: func(c *cobra.Command, _ []string) error { return h.list(c.Context()) },
		})
}

func unholdVerb(a *cli.Asking) *cobra.Command {
	h := holdCall{a}
	return &cobra.Command{
		Use: "unhold NAME", Short: "take a hold back", Args: cobra.ExactArgs(1),
		Long:        "Takes a hold back. What only it kept is deleted from then on.",
		Example:     "  rookery backup unhold case-7",
		Annotations: cli.Exits("3 there is no such hold", "5 a group did not take it yet; it follows by itself"),
		RunE: func(c *cobra.Command, args []string) error {
			x, err := h.Admin().ReleaseHold(c.Context(), args[0])
			return h.answer(x, err, args[0], "released", "is still kept", "What only it kept is deleted from now on.")
		},
	}
}

type holdCall struct{ *cli.Asking }

func (h holdCall) addVerb() *cobra.Command {
	v := &cobra.Command{
		Use: "add NAME", Short: "place a hold in every group", Args: cobra.ExactArgs(1),
		Long:    "Places a hold in every group. Times are like 2026-11-25, 2026-11-25T08:00:00Z, or 72h\nfor 72 hours ago.",
		Example: `  rookery backup hold add case-7 -reason "court order 12/26" -since 2026-11-25`,
		Annotations: cli.Exits("4 there is a hold of this name",
			"5 a group did not take it yet: it will, and deletes nothing of its own until then"),
	}
	reason := v.Flags().String("reason", "", "why, for those who read the list later; needed")
	since := v.Flags().String("since", "", "when the hold begins (default now)")
	until := v.Flags().String("until", "", "when the hold ends (default never)")
	v.RunE = func(c *cobra.Command, args []string) error {
		return h.add(c.Context(), args[0], *reason, *since, *until)
	}
	return v
}

func (h holdCall) add(ctx context.Context, name, reason, since, until string) error {
	o := adminapi.HoldOrder{Name: name, Reason: reason}
	if strings.TrimSpace(o.Reason) == "" || len(o.Reason) > command.MaxHoldReason || len(name) > command.MaxHoldName {
		return cli.Usagef("needs -reason TEXT of at most %d bytes and a NAME of at most %d", command.MaxHoldReason, command.MaxHoldName)
	}
	now := time.Now()
	var err error
	if o.From, err = cli.ParseTime("since", since, now); err != nil {
		return err
	}
	if o.To, err = cli.ParseTime("until", until, now); err != nil {
		return err
	}
	a, err := h.Admin().PlaceHold(ctx, o)
	return h.answer(a, err, name, "in force", "is not in force yet", kept)
}

// answer says in how many groups a hold is done with, and what that means.
func (h holdCall) answer(a adminapi.HoldAnswer, err error, name, done, not, means string) error {
	if err != nil {
		return err
	}
	if h.JSON {
		err = h.Line(a)
	} else {
		_, err = fmt.Fprintf(h.Out, "%s: %s in %s\n%s\n", name, done, plural.Of(len(a.Groups), "group"), means)
	}
	if err == nil && len(a.Pending) > 0 {
		err = rookery.E("hold", rookery.KindUnavailable,
			fmt.Errorf("it is recorded but %s in groups %v, which did not answer; it follows by itself, see: rookery backup hold list",
				not, a.Pending))
	}
	return err
}

func (h holdCall) list(ctx context.Context) error {
	l, err := h.Admin().Holds(ctx)
	if err != nil {
		return err
	}
	if h.JSON {
		err = h.Line(l)
	} else {
		w := tabwriter.NewWriter(h.Out, 0, 0, 2, ' ', 0)
		fmt.Fprint(w, "KIND\tNAME\tFROM\tUNTIL\tGROUPS\tMISSING IN\tREASON\n")
		for _, x := range l.Holds {
			until, missing := "-", "-"
			if x.To != nil {
				until = x.To.Format(time.RFC3339)
			}
			if len(x.Missing) > 0 {
				missing = fmt.Sprint(x.Missing)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", x.Kind, x.Name, x.From.Format(time.RFC3339), until, len(x.Groups), missing, x.Reason)
		}
		err = w.Flush()
	}
	if err == nil && len(l.Unasked) > 0 {
		err = rookery.E("hold", rookery.KindUnavailable, fmt.Errorf("groups %v did not answer: what they hold is not shown", l.Unasked))
	}
	return err
}
