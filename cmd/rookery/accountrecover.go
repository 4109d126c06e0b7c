package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
)

const recoverableLong = `Messages that a client has expunged, or that were in a mailbox that was deleted, can
be recovered for as many days as the setting limits.expunged_days says. They do not
count towards the quota until they are restored.`

func recoverableVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "recoverable", Short: "list and restore messages that were expunged", Long: recoverableLong,
		Example: "  rookery account recoverable list alice@example.com\n  rookery account recoverable restore alice@example.com " +
			"-mailbox Projects",
	}
	return cli.Family(v, recoverableListVerb(a), recoverableRestoreVerb(a))
}

// recoverFlags adds the flags that pick expunged messages.
func recoverFlags(c *cobra.Command, o *adminapi.RecoverOrder) (since *string) {
	c.Flags().StringVar(&o.Mailbox, "mailbox", "", "only messages that were in this mailbox")
	return c.Flags().String("since", "", "only messages expunged since then: a time as 2026-11-30T08:00:00Z, or how long ago, as 24h")
}

// parseSince reads a time, or how long ago it was.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(s); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, cli.Usagef("-since %s: give a time as 2026-11-30T08:00:00Z, or how long ago, as 24h", s)
	}
	return t, nil
}

func recoverableListVerb(a *cli.Asking) *cobra.Command {
	var o adminapi.RecoverOrder
	v := &cobra.Command{
		Use: "list ADDRESS", Short: "list the messages of an account that can be recovered", Args: cobra.ExactArgs(1),
		Long: "Lists expunged messages in the order of their expunging, with sender and subject:\nthe call is recorded in the " +
			"audit (rookery audit list). Up to 1000 are listed.",
		Example:     "  rookery account recoverable list alice@example.com -since 24h",
		Annotations: cli.Exits("3 there is no such account"),
	}
	since := recoverFlags(v, &o)
	v.RunE = func(c *cobra.Command, args []string) (err error) {
		if o.Since, err = parseSince(*since, time.Now()); err != nil {
			return err
		}
		l, err := a.Admin().Recoverable(c.Context(), args[0], o)
		if err != nil {
			return err
		}
		if a.JSON {
			return a.Print(l)
		}
		w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tEXPUNGED\tMAILBOX\tRECEIVED\tSIZE\tFROM\tSUBJECT")
		for _, m := range l.Messages {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, cli.Stamp(m.Expunged), cli.Printable(m.Mailbox, 40), cli.Stamp(m.Received),
				sayBytes(m.Size),
				cli.Dash(cli.Printable(m.From, 60)), cli.Printable(m.Subject, 60))
		}
		if l.More > 0 {
			fmt.Fprintf(w, "and %d more: pick some with -mailbox or -since\n", l.More)
		}
		return w.Flush()
	}
	return v
}

func recoverableRestoreVerb(a *cli.Asking) *cobra.Command {
	var o adminapi.RecoverOrder
	v := &cobra.Command{
		Use: "restore ADDRESS [ID]...", Short: "restore messages that were expunged", Args: cobra.MinimumNArgs(1),
		Long: "Files expunged messages again, those named by their ids, those that the flags pick,\nor -all of them: in the mailbox " +
			"each was in, which is made anew where it is gone,\n" +
			"or in the one that -to names. They have new UIDs and count towards the quota.",
		Example: "  rookery account recoverable restore alice@example.com 1834.12 1834.13\n  rookery account recoverable restore " +
			"alice@example.com -since 24h -to Recovered",
		Annotations: cli.Exits("3 there is no such account, or a message is not in the list any more"),
	}
	since := recoverFlags(v, &o)
	v.Flags().StringVar(&o.To, "to", "", "the mailbox to restore into")
	v.Flags().BoolVar(&o.All, "all", false, "all that can be recovered")
	v.RunE = func(c *cobra.Command, args []string) (err error) {
		if o.Since, err = parseSince(*since, time.Now()); err != nil {
			return err
		}
		if o.IDs = args[1:]; len(o.IDs) == 0 && o.Mailbox == "" && *since == "" && !o.All {
			return cli.Usagef("restore needs ids, -mailbox, -since or -all")
		}
		l, err := a.Admin().Recover(c.Context(), args[0], o)
		if err != nil {
			return err
		}
		if a.JSON {
			return a.Print(l)
		}
		_, err = fmt.Fprintf(a.Out, "%s restored\n", plural.Of(l.Recovered, "message"))
		return err
	}
	return v
}
