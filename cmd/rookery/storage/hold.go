package storage

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
	"rookery/storage/command"
)

func storageHoldVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "hold", Short: "keep stored bytes from being deleted",
		Long: `A hold keeps every pack in the object store that held something mail needed at
some time of the hold, also after the mail is expunged and purged. By default it
begins now and has no end. It keeps bytes, not what a mailbox showed: which
message they were and the key to it is in the state and its backups. It does not
keep an account from being erased.`,
		Example: `  rookery storage hold add case-7 -reason "court order 12/26" -data /var/lib/rookery`,
	}
	h := holdCall{a}
	return cli.Family(v, h.addVerb(),
		&cobra.Command{
			Use: "list", Short: "show holds, restore points and pins with the groups that have them", Args: cobra.ExactArgs(0),
			Example: "  rookery storage hold list", Annotations: cli.Exits("5 a group did not answer: what it holds is not shown"),
			RunE: func(c *cobra.Command, _ []string) error { return h.list(c.Context()) },
		},
		&cobra.Command{
			Use: "release NAME", Short: "take a hold back; what only it kept is deleted from then on", Args: cobra.ExactArgs(1),
			Example:     "  rookery storage hold release case-7",
			Annotations: cli.Exits("3 there is no such hold", "5 a group did not take it yet; it follows by itself"),
			RunE: func(c *cobra.Command, args []string) error {
				x, err := h.Admin().ReleaseHold(c.Context(), args[0])
				return h.answer(x, err, args[0], "released", "is still kept")
			},
		})
}

type holdCall struct{ *cli.Asking }

func (h holdCall) addVerb() *cobra.Command {
	v := &cobra.Command{
		Use: "add NAME", Short: "place a hold in every group", Args: cobra.ExactArgs(1),
		Long:    "Places a hold in every group. Times are like 2026-11-25, 2026-11-25T08:00:00Z, or 72h\nfor 72 hours ago.",
		Example: `  rookery storage hold add case-7 -reason "court order 12/26" -since 2026-11-25`,
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
	return h.answer(a, err, name, "in force", "is not in force yet")
}

func (h holdCall) answer(a adminapi.HoldAnswer, err error, name, done, not string) error {
	if err != nil {
		return err
	}
	if h.JSON {
		err = h.Line(a)
	} else {
		_, err = fmt.Fprintf(h.Out, "%s: %s in %d groups\n", name, done, len(a.Groups))
	}
	if err == nil && len(a.Pending) > 0 {
		err = rookery.E("hold", rookery.KindUnavailable,
			fmt.Errorf("it is recorded but %s in groups %v, which did not answer; it follows by itself, see: rookery storage hold list",
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
