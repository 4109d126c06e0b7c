package main

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

func auditVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "audit", Short: "see who changed what",
		Long: `Every call that changes something through a node's administration socket is
recorded in the cluster before it is begun: who called on which node, for what,
when, and how it ended. A call that cannot be recorded is not begun. Rows are kept
for 400 days, at most 100,000 of them.`,
		Example: "  rookery audit list -since 24h -who root",
	}
	return cli.Family(v, auditListVerb(s.Ask(v.PersistentFlags())))
}

func auditListVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "list", Short: "list the calls that changed something, oldest first", Args: cobra.ExactArgs(0),
		Long: `Lists the calls that changed something, or tried to, oldest first. Where the
outcome is not known the call is under way, or its node went away meanwhile.
With --json each call is a line.

Times are like 2026-11-25, 2026-11-25T08:00:00Z, or 72h for 72 hours ago.`,
		Example: "  rookery audit list -since 24h -who root\n  rookery audit list -verb remove --json", Annotations: cli.Exits(),
	}
	since := v.Flags().String("since", "", "only calls since this time")
	who := v.Flags().String("who", "", "only calls of this Unix user")
	verb := v.Flags().String("verb", "", "only calls of this verb, as the list has it")
	v.RunE = func(c *cobra.Command, _ []string) error {
		from, err := cli.ParseTime("since", *since, time.Now())
		if err != nil {
			return err
		}
		return auditList(c.Context(), a, adminapi.AuditQuery{Since: from, Who: *who, Verb: *verb})
	}
	return v
}

func auditList(ctx context.Context, a *cli.Asking, q adminapi.AuditQuery) error {
	if a.JSON {
		return a.Admin().Audit(ctx, q, func(x adminapi.AuditedCall) error { return a.Line(x) })
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "TIME\tUSER\tNODE\tVERB\tARGUMENTS\tOUTCOME\n")
	err := a.Admin().Audit(ctx, q, func(x adminapi.AuditedCall) error {
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", cli.Stamp(x.Time), x.User, x.Node, x.Verb, cli.Dash(x.Args),
			cmp.Or(x.Outcome, "not known"))
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}
