// Package backup has the verbs of rookery backup: how far the archive is, what is in
// it, what of the past can be found in it, and what is kept for how long, by asking a
// node. It writes what is exported to files. It reads no archive itself.
package backup

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

const long = `The archive has everything that the groups of this cluster agree on, a few seconds after
it happened, and an image of each group every night. From it any mailbox can be brought
back as it was at any second of the window: see rookery restore.`

// patience is how long an order may take that reads the archive: a large account takes
// a while to bring back.
const patience = 30 * time.Minute

// Verb is rookery backup.
func Verb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "backup", Short: "see what is archived, and find messages of the past", Long: long,
		Example: "  rookery backup status\n  rookery backup find anna@example.com -at -2h -subject invoice",
	}
	a := s.Ask(v.PersistentFlags())
	return cli.Family(v, statusVerb(a), runVerb(a), listVerb(a), findVerb(a), exportVerb(a), verifyVerb(a), pruneVerb(a), holdVerb(a),
		unholdVerb(a))
}

func statusVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "show how far the archive is", Args: cobra.ExactArgs(0),
		Long:    "Shows for each group until when it is archived, what waits, and when its newest image was made.",
		Example: "  rookery backup status", Annotations: cli.Exits("1 there are problems", "5 the cluster does not answer"),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.Admin().BackupStatus(c.Context())
			if err != nil {
				return err
			}
			if err := show(a, &s); err != nil {
				return err
			}
			if len(s.Problems) > 0 {
				return rookery.E("backup", rookery.KindUnknown, fmt.Errorf("there are problems: see above"))
			}
			return nil
		},
	}
}

func runVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "archive everything up to now", Args: cobra.ExactArgs(0),
		Long:    "Archives what was agreed on up to now, without waiting for the next few seconds. It returns when the\nbackup store has it.",
		Example: "  rookery backup run", Annotations: cli.Exits("5 the cluster or the backup store does not answer"),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.Admin().Patient(patience).RunBackup(c.Context())
			if err != nil {
				return err
			}
			return show(a, &s)
		},
	}
}

func show(a *cli.Asking, s *adminapi.BackupStatus) error {
	if a.JSON {
		return a.Print(s)
	}
	if !s.On {
		_, err := fmt.Fprintln(a.Out, "There is no backup. Set backup.kind and its keys: rookery config get backup")
		return err
	}
	fmt.Fprintf(a.Out, "store:  %s\nwindow: %d days\n", s.Store, s.WindowDays)
	if s.Complete != nil {
		fmt.Fprintf(a.Out, "whole:  the cluster can be brought back to %s\n", cli.Stamp(*s.Complete))
	}
	fmt.Fprintln(a.Out)
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GROUP\tNODE\tARCHIVED UNTIL\tWAITING\tLAG\tLAST IMAGE\tWRITTEN")
	for _, g := range s.Groups {
		image := "-"
		if g.Image != nil {
			image = cli.Stamp(*g.Image)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%.0fs\t%s\t%s\n", g.Group, g.Node, cli.Stamp(g.Upto), g.Pending, g.Lag, image, size(g.Bytes))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range s.Problems {
		fmt.Fprintf(a.Out, "problem: %s\n", p)
	}
	return nil
}

func listVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the images in the archive", Args: cobra.ExactArgs(0),
		Long:    "Lists the images, from which restores begin, and sums what lies between them.",
		Example: "  rookery backup list", Annotations: cli.Exits("5 the cluster or the backup store does not answer"),
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := a.Admin().Patient(patience).ListBackups(c.Context())
			switch {
			case err != nil:
				return err
			case a.JSON:
				return a.Print(l)
			}
			w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "GROUP\tTIME\tLOG INDEX")
			for _, i := range l.Images {
				fmt.Fprintf(w, "%d\t%s\t%d\n", i.Group, cli.Stamp(i.Time), i.Index)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Out, "%d segments of the log, %s\n", l.Segments, size(l.SegmentBytes))
			return err
		},
	}
}

func findVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "find ADDRESS", Short: "find messages that an account had", Args: cobra.ExactArgs(1),
		Long: "Searches the account as it was at a time. Each line has the EMAILID with which rookery restore message brings\n" +
			"the message back.",
		Example: "  rookery backup find anna@example.com -at -2h -deleted\n" +
			"  rookery backup find anna@example.com -at 2026-11-30T10:00:00Z -from bank -mailbox INBOX",
		Annotations: cli.Exits("3 there is no such account, or the time cannot be restored", "5 the cluster or the backup store does not answer"),
	}
	o, at, since, before := adminapi.FindOrder{}, "0s", "", ""
	f := v.Flags()
	f.StringVar(&at, "at", at, "as of when: a time, or a span before now like -2h or -3d")
	f.StringVar(&o.From, "from", "", "a part of the From field")
	f.StringVar(&o.Subject, "subject", "", "a part of the Subject field")
	f.StringVar(&o.Mailbox, "mailbox", "", "in this mailbox only")
	f.StringVar(&since, "since", "", "that arrived at this time or later")
	f.StringVar(&before, "before", "", "that arrived before this time")
	f.BoolVar(&o.Deleted, "deleted", false, "that the account has no more")
	f.IntVar(&o.Limit, "limit", 100, "at most so many, up to 10000")
	v.RunE = func(c *cobra.Command, args []string) (err error) {
		o.Account = args[0]
		now := time.Now()
		for name, t := range map[string]struct {
			text string
			into *time.Time
		}{"at": {at, &o.At}, "since": {since, &o.Since}, "before": {before, &o.Before}} {
			if *t.into, err = cli.ParseTime(name, t.text, now); err != nil {
				return err
			}
		}
		found, err := a.Admin().Patient(patience).FindMessages(c.Context(), o)
		switch {
		case err != nil:
			return err
		case a.JSON:
			return a.Print(found)
		case len(found.Messages) == 0:
			_, err := fmt.Fprintf(a.Out, "Nothing is found in the account as it was at %s.\n", cli.Stamp(found.At))
			return err
		}
		return list(a, &found)
	}
	return v
}

func list(a *cli.Asking, found *adminapi.FoundMessages) error {
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EMAILID\tMAILBOX\tDATE\tSIZE\tNOW\tFROM\tSUBJECT")
	for _, m := range found.Messages {
		now := "there"
		if m.Deleted {
			now = "deleted"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Email, cli.Printable(m.Mailbox, 30), cli.Stamp(m.Date), size(m.Size), now,
			cli.Printable(m.From, 40), cli.Printable(m.Subject, 60))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if found.More {
		_, err := fmt.Fprintln(a.Out, "There are more: narrow the search, or raise -limit.")
		return err
	}
	return nil
}

// size words bytes.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}
