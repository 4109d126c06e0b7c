// Package restore has the verbs of rookery restore: bringing mailboxes and messages
// back from the archive, by asking a node, which does the work.
package restore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

const long = `Brings mailboxes, folders and messages back as they were at any second of the window.
What is missing is added, with its folder, flags, dates and EMAILID, under new UIDs; what
the account has stays, unless -replace asks for each mailbox as it was. Nothing is
delivered or sent again. The account is served meanwhile. A restore is undone by a
restore: to a second before it, with -replace.`

// Verb is rookery restore.
func Verb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "restore", Short: "bring mail back from the archive", Long: long,
		Example: "  rookery restore mailbox anna@example.com -at -2h -dry-run\n  rookery restore mailbox anna@example.com -at -2h -yes",
	}
	a := s.Ask(v.PersistentFlags())
	return cli.Family(v, mailboxVerb(a), folderVerb(a), messageVerb(a), usersVerb(a), listVerb(a), cancelVerb(a), clusterVerb(s))
}

var exits = cli.Exits("3 there is no such account, mailbox or message, or the time cannot be restored",
	"4 the account is being restored already, or moves", "5 the cluster or the backup store does not answer")

// patience is how long a plan may take: a large account takes a while to bring back.
const patience = 30 * time.Minute

// wish are the flags that the verbs share.
type wish struct {
	a        *cli.Asking
	o        adminapi.RestoreOrder
	at       string
	dry, yes bool
	noWait   bool
}

func (w *wish) flags(v *cobra.Command) {
	f := v.Flags()
	f.StringVar(&w.at, "at", "", "as of when: a time like 2026-11-30T10:00:00Z, or a span before now like -2h or -3d")
	f.StringVar(&w.o.To, "to", "", "put it into the account of another address")
	f.StringVar(&w.o.Into, "into", "", "put everything below this mailbox, like \"Restored\", instead of in place")
	f.BoolVar(&w.o.Exceed, "exceed-quota", false, "take the account over its quota where that is needed")
	f.BoolVar(&w.dry, "dry-run", false, "show what would change, and change nothing")
	f.BoolVar(&w.yes, "yes", false, "do not ask")
	f.BoolVar(&w.noWait, "no-wait", false, "return when the restore has begun")
}

func (w *wish) replaces(v *cobra.Command) {
	v.Flags().BoolVar(&w.o.Replace, "replace", false,
		"make each mailbox what it was: expunge what came later (that can be undone), and set flags back")
}

// run plans, asks, and restores.
func (w *wish) run(ctx context.Context, account string) error {
	o := w.o
	o.Account = account
	var err error
	if w.a.JSON && !w.yes && !w.dry {
		return cli.Usagef("with --json nothing is asked: add -yes, or -dry-run")
	}
	if w.at == "" {
		return cli.Usagef("say as of when: -at TIME, like -at 2026-11-30T10:00:00Z or -at -2h")
	}
	if o.At, err = cli.ParseTime("at", w.at, time.Now()); err != nil {
		return err
	}
	if w.dry || !w.yes {
		plan, err := w.a.Admin().Patient(patience).PlanRestore(ctx, o)
		if err != nil {
			return err
		}
		if w.dry && w.a.JSON {
			return w.a.Print(plan)
		}
		if !w.a.JSON {
			if err := w.show(&plan); err != nil {
				return err
			}
		}
		if w.dry {
			return nil
		}
	}
	what := fmt.Sprintf("The account of %s is changed as above.", account)
	if err := cli.Confirm(ctx, w.yes, what, "restore"); err != nil {
		return err
	}
	j, err := w.a.Admin().Patient(patience).BeginRestore(ctx, o)
	if err == nil && !w.noWait {
		j, err = w.wait(ctx, j)
	}
	if err != nil {
		return err
	}
	return w.ended(&j)
}

func (w *wish) show(p *adminapi.RestorePlan) error {
	fmt.Fprintf(w.a.Out, "As of %s:\n\n", cli.Stamp(p.At))
	t := tabwriter.NewWriter(w.a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MAILBOX\tINTO\tTHERE\tADD\tREMOVE\tFLAGS\tKIB")
	for _, m := range p.Mailboxes {
		into := m.Target
		if m.Created {
			into += " (new)"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\n", cli.Printable(m.Name, 40), cli.Printable(into, 50), m.Present, m.Add, m.Remove, m.Flags,
			m.Bytes>>10)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w.a.Out, "\n%d messages to add (%d KiB), %d to remove, %d with other flags\n", p.Add, p.Bytes>>10, p.Remove, p.Flags)
	return err
}

// How often a restore that runs is looked at: at first, and then.
const (
	pollFirst = 200 * time.Millisecond
	pollEvery = time.Second
)

// wait looks at a restore until it has ended.
func (w *wish) wait(ctx context.Context, j adminapi.RestoreJob) (adminapi.RestoreJob, error) {
	bar := cli.NewProgress(w.a.Progress())
	defer bar.Clear()
	pause := pollFirst
	for j.State == "running" {
		select {
		case <-ctx.Done():
			return j, ctx.Err()
		case <-time.After(pause):
			pause = min(pause*5/4, pollEvery)
		}
		all, err := w.a.Admin().Restores(ctx)
		if err != nil {
			if rookery.Is(err, rookery.KindUnavailable) {
				continue // the node that works on it may be another
			}
			return j, err
		}
		for _, x := range all {
			if x.ID == j.ID {
				j = x
			}
		}
		if j.Total > 0 {
			bar.Show(float64(j.Done)/float64(j.Total), fmt.Sprintf("%d of %d messages", j.Done, j.Total))
		}
	}
	return j, nil
}

func (w *wish) ended(j *adminapi.RestoreJob) error {
	if w.a.JSON {
		if err := w.a.Print(j); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(w.a.Out, "restore %s: %s, %d messages brought back (%d KiB)\n",
		j.ID, j.State, j.Done, j.Bytes>>10); err != nil {
		return err
	}
	if j.State == "failed" || j.State == "cancelled" {
		return rookery.E("restore", rookery.KindUnknown, errors.New(j.Text))
	}
	return nil
}

func mailboxVerb(a *cli.Asking) *cobra.Command {
	w := &wish{a: a}
	v := &cobra.Command{
		Use: "mailbox ADDRESS", Short: "bring a person's mail back", Args: cobra.ExactArgs(1),
		Long: "Brings all folders of an account back. A message that its owner has only moved since stays where it is.",
		Example: "  rookery restore mailbox anna@example.com -at 2026-11-30T10:00:00Z -yes\n" +
			"  rookery restore mailbox anna@example.com -at -2h -into Restored -yes", Annotations: exits,
		RunE: func(c *cobra.Command, args []string) error { return w.run(c.Context(), args[0]) },
	}
	w.flags(v)
	w.replaces(v)
	return v
}

func folderVerb(a *cli.Asking) *cobra.Command {
	w := &wish{a: a}
	v := &cobra.Command{
		Use: "folder ADDRESS NAME", Short: "bring one folder back", Args: cobra.ExactArgs(2),
		Long:        "Brings one folder back, by the name that it had. Folders below it are others.",
		Example:     "  rookery restore folder anna@example.com Projects/2026 -at -1d -yes",
		Annotations: exits,
		RunE: func(c *cobra.Command, args []string) error {
			w.o.Mailbox = args[1]
			return w.run(c.Context(), args[0])
		},
	}
	w.flags(v)
	w.replaces(v)
	return v
}

func messageVerb(a *cli.Asking) *cobra.Command {
	w := &wish{a: a}
	v := &cobra.Command{
		Use: "message ADDRESS EMAILID...", Short: "bring single messages back", Args: cobra.MinimumNArgs(2),
		Long:        "Brings messages back by their EMAILID, which rookery backup find shows, into the folders that they were in.",
		Example:     "  rookery restore message anna@example.com MAZrYx0Bq3 -at -2h -yes",
		Annotations: exits,
		RunE: func(c *cobra.Command, args []string) error {
			w.o.Emails = args[1:]
			return w.run(c.Context(), args[0])
		},
	}
	w.flags(v)
	return v
}

func usersVerb(a *cli.Asking) *cobra.Command {
	w := &wish{a: a}
	v := &cobra.Command{
		Use: "users FILE", Short: "bring the mail of many people back", Args: cobra.ExactArgs(1),
		Long: "Restores the accounts whose addresses are in a file, one a line (# begins a comment, - is standard input), one after\n" +
			"the other. What fails is shown at the end, and does not keep the others from being restored.",
		Example:     "  rookery restore users leavers.txt -at -1d -yes",
		Annotations: cli.Exits("1 some were not restored", "5 the cluster does not answer"),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := cli.ReadInput(args[0])
			if err != nil {
				return err
			}
			return w.users(c.Context(), b)
		},
	}
	w.flags(v)
	w.replaces(v)
	return v
}

func (w *wish) users(ctx context.Context, list []byte) error {
	var failed []string
	in := bufio.NewScanner(bytes.NewReader(list))
	for in.Scan() {
		address, _, _ := strings.Cut(in.Text(), "#")
		if address = strings.TrimSpace(address); address == "" {
			continue
		}
		if !w.a.JSON {
			fmt.Fprintf(w.a.Out, "%s:\n", address)
		}
		if err := w.run(ctx, address); err != nil {
			if ctx.Err() != nil {
				return err
			}
			failed = append(failed, fmt.Sprintf("%s: %v", address, err))
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return rookery.E("restore users", rookery.KindUnknown,
			fmt.Errorf("%d were not restored:\n  %s", len(failed), strings.Join(failed, "\n  ")))
	}
	return nil
}

func listVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list restores that run or have ended", Args: cobra.ExactArgs(0),
		Long:    "Lists restores, the newest first. Of each account the last 10 are remembered. With --json it is an array.",
		Example: "  rookery restore list", Annotations: cli.Exits("5 the cluster does not answer"),
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := a.Admin().Restores(c.Context())
			switch {
			case err != nil:
				return err
			case a.JSON:
				return a.Print(all)
			case len(all) == 0:
				_, err := fmt.Fprintln(a.Out, "Nothing was restored.")
				return err
			}
			t := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tACCOUNT\tAS OF\tSTATE\tDONE\tBEGAN\tBY\tTEXT")
			for _, j := range all {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d of %d\t%s\t%s\t%s\n", j.ID, cli.Printable(cli.Dash(j.Address), 40), cli.Stamp(j.At), j.State,
					j.Done, j.Total, cli.Stamp(j.Began), cli.Printable(j.By, 20), cli.Printable(j.Text, 80))
			}
			return t.Flush()
		},
	}
}

func cancelVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "end a restore that runs", Args: cobra.ExactArgs(1),
		Long:        "Ends a restore. What it has brought back by then stays.",
		Example:     "  rookery restore cancel 4f1c2a90d3e84b6f9d0e7a5c3b2a1908",
		Annotations: cli.Exits("3 there is no such restore", "5 the cluster does not answer"),
		RunE: func(c *cobra.Command, args []string) error {
			j, err := a.Admin().CancelRestore(c.Context(), args[0])
			switch {
			case err != nil:
				return err
			case a.JSON:
				return a.Print(j)
			}
			_, err = fmt.Fprintf(a.Out, "restore %s: %s\n", j.ID, j.State)
			return err
		},
	}
}
