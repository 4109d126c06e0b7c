package queue

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

func showVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "show ID", Short: "show all that is known of a message in the queue", Args: cobra.ExactArgs(1),
		Long: "Shows the entries of a message, or one of them, with the last attempt of each. With\n-content it prints the message itself " +
			"instead, as it would be sent. That wants a reason,\nand is recorded with it: rookery audit list.",
		Example: "  rookery queue show 6ebd7e2147def54082131c7180a4f3e5\n  rookery queue show -content -reason \"Ticket 4711\" " +
			"6ebd7e2147def54082131c7180a4f3e5 > message.eml",
		Annotations: cli.Exits("3 there is no such entry", "5 a group does not answer"),
	}
	content := v.Flags().Bool("content", false, "print the message itself; wants -reason, and is audited")
	reason := v.Flags().String("reason", "", "why the message is read, like a ticket; of -content")
	v.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case *content && strings.TrimSpace(*reason) == "":
			return cli.Usagef("-content needs -reason TEXT: who reads mail of others says why, and it is recorded")
		case *content && a.JSON:
			return cli.Usagef("-content prints the message as it is, and does not go with --json")
		case !*content && *reason != "":
			return cli.Usagef("-reason is for -content alone")
		case *content:
			return a.Admin().QueueContent(c.Context(), adminapi.ContentOrder{ID: args[0], Reason: *reason}, func(part []byte) error {
				_, err := a.Out.Write(part)
				return err
			})
		}
		return show(c, a, args[0])
	}
	return v
}

func show(c *cobra.Command, a *cli.Asking, id string) error {
	l, err := a.Admin().Queue(c.Context(), adminapi.QueueFilter{ID: id}, 1000)
	if err != nil {
		return err
	}
	if len(l.Entries) == 0 {
		return rookery.E("show queue", rookery.KindNotFound, fmt.Errorf("no entry has the id %s; it may have been sent", id))
	}
	if a.JSON {
		return a.Print(l.Entries)
	}
	for i := range l.Entries {
		b, err := json.MarshalIndent(&l.Entries[i], "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(a.Out, "%s\n", b)
	}
	return nil
}
