package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

const accountLong = `Accounts are spread over the mail groups when they are made, and stay there until
they are moved. A move copies the account while it serves, takes it out of
service for a moment (commands wait, mail is answered 4xx after 15 seconds),
compares the copy and goes on in the new group. Clients see the same mailboxes,
UIDs and flags; mail that comes meanwhile is filed once. Any node may be killed
meanwhile: another one goes on. A move that cannot get on while the account is
out of service is given up after 20 seconds, and the account serves as before.

An account is named by an address, also one that its owner was last known with and
the directory has no more, or by its id as rookery account list gives it.`

func accountVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "account", Short: "list and show accounts, move them between mail groups, link or erase them", Long: accountLong,
		Example: "  rookery account show alice@example.com\n  rookery account move alice@example.com -to 7 -data /var/lib/rookery",
	}
	a := s.Ask(v.PersistentFlags())
	return cli.Family(v, accountListVerb(a), accountShowVerb(a), accountMoveVerb(a), accountAbandonVerb(a), accountSpreadVerb(a),
		accountLinkVerb(a),
		recoverableVerb(a), accountEraseVerb(a))
}

func accountListVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "list", Short: "list accounts", Args: cobra.ExactArgs(0), Annotations: cli.Exits(),
		Long: "Lists accounts with the primary address, login and distinguished name that their\ndirectory entry was last seen " +
			"with (also when it is gone), their group, what they\nuse of their quota where this node knows, and the last sign-in, to the hour.",
		Example: "  rookery account list -group 2",
	}
	group := v.Flags().Uint("group", 0, "only accounts of this group")
	v.RunE = func(c *cobra.Command, _ []string) error { return accountList(c.Context(), a, rookery.GroupID(*group)) }
	return v
}

func accountMoveVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "move ADDRESS", Short: "move an account to another mail group", Args: cobra.ExactArgs(1),
		Long: "Begins to move an account to a group and waits until it is there; -no-wait leaves\nit to the cluster, and rookery " +
			"status shows how far it is.",
		Example: "  rookery account move alice@example.com -to 7 -data /var/lib/rookery",
		Annotations: cli.Exits("3 there is no such account or group", "4 it is there already, moves elsewhere, or the move was given up",
			"5 the time is over (the move goes on), or rookery upgrade finalize is due"),
	}
	f := v.Flags()
	to := f.Uint("to", 0, "the group to move to")
	noWait := f.Bool("no-wait", false, "do not wait until it is done")
	timeout := f.Duration("timeout", 24*time.Hour, "how long to wait")
	v.RunE = func(c *cobra.Command, args []string) error {
		if *to == 0 {
			return cli.Usagef("move needs the group to move to: -to N")
		}
		return accountMove(c.Context(), a, args[0], rookery.GroupID(*to), *timeout, !*noWait)
	}
	return v
}

func accountAbandonVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "abandon ADDRESS", Short: "give a move up, unless it is decided already", Args: cobra.ExactArgs(1),
		Example:     "  rookery account abandon alice@example.com",
		Annotations: cli.Exits("3 there is no such account or move", "4 the move is decided"),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := a.Admin().AbandonMove(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.JSON {
				return a.Print(m)
			}
			_, err = fmt.Fprintf(a.Out, "%s stays in group %d\n", args[0], m.From)
			return err
		},
	}
}

func accountList(ctx context.Context, c *cli.Asking, group rookery.GroupID) error {
	all, err := c.Admin().Accounts(ctx, group)
	if err != nil {
		return err
	}
	if c.JSON {
		if all == nil {
			all = []adminapi.AccountStatus{}
		}
		return c.Print(all)
	}
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ADDRESS\tLOGIN\tACCOUNT\tGROUP\tMESSAGES\tUSED\tQUOTA\tLAST SIGN-IN\tDIRECTORY ENTRY")
	for _, a := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", cmp.Or(a.Address, "?"), cmp.Or(a.Login, "?"), a.Account, a.Group,
			sayMessages(a.Messages), sayUsed(a.Bytes), sayQuota(a.Quota), saySignIn(a.SignIn), cmp.Or(a.DN, a.Entry))
	}
	return w.Flush()
}

// moved is what move says in the end.
type moved struct {
	Account string          `json:"account"`
	Group   rookery.GroupID `json:"group"`
	Done    bool            `json:"done"`
}

func accountMove(ctx context.Context, c *cli.Asking, who string, to rookery.GroupID, timeout time.Duration, wait bool) error {
	m, err := c.Admin().MoveAccount(ctx, who, to)
	if err != nil {
		return err
	}
	if !wait {
		if c.JSON {
			return c.Print(moved{m.Account, m.From, false})
		}
		_, err = fmt.Fprintf(c.Out, "%s moves to group %d; how far it is shows in rookery status\n", who, to)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := awaitMove(ctx, c, m.Account, to, c.Progress()); err != nil {
		return err
	}
	if c.JSON {
		return c.Print(moved{m.Account, to, true})
	}
	_, err = fmt.Fprintf(c.Out, "%s is in group %d\n", who, to)
	return err
}

// awaitMove waits until an account is in a group, and tells each change.
func awaitMove(ctx context.Context, c *cli.Asking, id string, to rookery.GroupID, progress io.Writer) error {
	var told string
	reason := "see the log of the node that leads its group"
	for {
		st, err := c.Admin().Status(ctx)
		if err == nil {
			m, under := findMove(st, id)
			if !under {
				a, err := c.Admin().Account(ctx, id)
				if err == nil && a.Group == to {
					return nil
				}
				if err == nil {
					return rookery.E("move account", rookery.KindConflict,
						fmt.Errorf("the move was given up, the account stays in group %d: %s", a.Group, reason))
				}
			} else {
				if m.State == "abandoned" && m.Trouble != "" {
					reason = m.Trouble
				}
				if now := sayMove(m); now != told {
					told = now
					fmt.Fprintln(progress, now)
				}
			}
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return rookery.E("move account", rookery.KindUnavailable, errors.New("the move has not ended yet; it goes on, see rookery status"))
		}
	}
}

func findMove(st adminapi.Status, id string) (adminapi.MoveStatus, bool) {
	for _, m := range st.Moves {
		if m.Account == id {
			return m, true
		}
	}
	return adminapi.MoveStatus{}, false
}

// sayMove is a move in words.
func sayMove(m adminapi.MoveStatus) string {
	text := fmt.Sprintf("account %s, group %d to %d: %s", m.Account, m.From, m.To, m.State)
	if m.Copied != nil && m.Messages != nil {
		text += fmt.Sprintf(", %d of %d messages", *m.Copied, *m.Messages)
	}
	if m.Trouble != "" {
		text += ": " + m.Trouble
	}
	return text
}
