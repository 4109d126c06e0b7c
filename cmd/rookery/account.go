package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"rookery"
	"rookery/cmd/node"
)

const accountMoveLong = `Accounts are spread over the mail groups when they are made, and stay there until
they are moved. A move copies the account while it serves, takes it out of
service for a moment (commands wait, mail is answered 4xx after 15 seconds),
compares the copy and goes on in the new group. Clients see the same mailboxes,
UIDs and flags; mail that comes meanwhile is filed once. Any node may be killed
meanwhile: another one goes on. A move that cannot get on while the account is
out of service is given up after 20 seconds, and the account serves as before.

list lists accounts with their group, what they use where this node knows, and
the directory entry they belong to.

move begins to move the account of an ADDRESS (or an account's id, as list gives
it) to a group and waits until it is there; -no-wait leaves it to the cluster,
and rookery status shows how far it is. abandon gives a move up, unless it is
decided already.

spread moves accounts from the groups with the most to those with the fewest
until the numbers differ by one at most: after rookery group add, say. It waits;
when it is interrupted the moves it began go on, and it may be called again.

Exit codes: 3 there is no such account or group, 4 it is there already, moves
elsewhere, or the move was given up, 5 the time is over (the move goes on) or
rookery upgrade finalize is due.

Example: rookery account move alice@example.com -to 7 -data /var/lib/rookery`

func accountVerb() verb {
	v := verb{name: "account", args: "list [-group N] | move ADDRESS -to N [-no-wait] [-timeout TIME] | abandon ADDRESS | spread [-timeout TIME] | erase ACCOUNT... [-from FILE] [-yes] [-timeout TIME]  [-data DIR | -socket PATH] [--json]",
		short: "list accounts, move them between mail groups, or erase them", long: accountMoveLong + "\n\n" + accountEraseLong}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		if len(args) > 0 && args[0] == "erase" {
			return accountErase(ctx, s, f, args[1:])
		}
		admin := adminFlags(f)
		group := f.Uint("group", 0, "list: only accounts of this group")
		to := f.Uint("to", 0, "move: the group to move to")
		noWait := f.Bool("no-wait", false, "move: do not wait until it is done")
		timeout := f.Duration("timeout", 24*time.Hour, "move, spread: how long to wait")
		asJSON := f.Bool("json", false, "print JSON")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		c := accountCall{shell: s, json: *asJSON, admin: admin(), timeout: *timeout, wait: !*noWait}
		switch {
		case len(rest) == 1 && rest[0] == "list":
			return c.list(ctx, rookery.GroupID(*group))
		case len(rest) == 1 && rest[0] == "spread":
			return c.spread(ctx)
		case len(rest) == 2 && rest[0] == "move" && *to > 0:
			return c.move(ctx, rest[1], rookery.GroupID(*to))
		case len(rest) == 2 && rest[0] == "move":
			return usagef("move needs the group to move to: -to N")
		case len(rest) == 2 && rest[0] == "abandon":
			return c.abandon(ctx, rest[1])
		}
		return usagef("knows: list, move ADDRESS -to N, abandon ADDRESS, spread, erase ACCOUNT")
	}
	return v
}

type accountCall struct {
	*shell
	json    bool
	admin   *node.AdminClient
	timeout time.Duration
	wait    bool
}

func (c accountCall) list(ctx context.Context, group rookery.GroupID) error {
	all, err := c.admin.Accounts(ctx, group)
	if err != nil {
		return err
	}
	if c.json {
		if all == nil {
			all = []node.AccountStatus{}
		}
		return c.print(all)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ACCOUNT\tGROUP\tMESSAGES\tKIB\tDIRECTORY ENTRY")
	for _, a := range all {
		messages, kib := "?", "?"
		if a.Messages != nil {
			messages, kib = fmt.Sprint(*a.Messages), fmt.Sprint(*a.Bytes>>10)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", a.Account, a.Group, messages, kib, a.Entry)
	}
	return w.Flush()
}

func (c accountCall) print(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// moved is what move says in the end.
type moved struct {
	Account string          `json:"account"`
	Group   rookery.GroupID `json:"group"`
	Done    bool            `json:"done"`
}

func (c accountCall) move(ctx context.Context, who string, to rookery.GroupID) error {
	m, err := c.admin.MoveAccount(ctx, who, to)
	if err != nil {
		return err
	}
	if !c.wait {
		if c.json {
			return c.print(moved{m.Account, m.From, false})
		}
		_, err = fmt.Fprintf(c.out, "%s moves to group %d; how far it is shows in rookery status\n", who, to)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	progress := c.out
	if c.json {
		progress = io.Discard
	}
	if err := c.await(ctx, m.Account, to, progress); err != nil {
		return err
	}
	if c.json {
		return c.print(moved{m.Account, to, true})
	}
	_, err = fmt.Fprintf(c.out, "%s is in group %d\n", who, to)
	return err
}

// await waits until an account is in a group, and tells each change.
func (c accountCall) await(ctx context.Context, id string, to rookery.GroupID, progress io.Writer) error {
	var told string
	reason := "see the log of the node that leads its group"
	for {
		st, err := c.admin.Status(ctx)
		if err == nil {
			m, under := findMove(st, id)
			if !under {
				a, err := c.admin.Account(ctx, id)
				if err == nil && a.Group == to {
					return nil
				}
				if err == nil {
					return rookery.E("move account", rookery.KindConflict, fmt.Errorf("the move was given up, the account stays in group %d: %s", a.Group, reason))
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

func findMove(st node.Status, id string) (node.MoveStatus, bool) {
	for _, m := range st.Moves {
		if m.Account == id {
			return m, true
		}
	}
	return node.MoveStatus{}, false
}

// sayMove is a move in words.
func sayMove(m node.MoveStatus) string {
	text := fmt.Sprintf("account %s, group %d to %d: %s", m.Account, m.From, m.To, m.State)
	if m.Copied != nil && m.Messages != nil {
		text += fmt.Sprintf(", %d of %d messages", *m.Copied, *m.Messages)
	}
	if m.Trouble != "" {
		text += ": " + m.Trouble
	}
	return text
}

func (c accountCall) abandon(ctx context.Context, who string) error {
	m, err := c.admin.AbandonMove(ctx, who)
	if err != nil {
		return err
	}
	if c.json {
		return c.print(m)
	}
	_, err = fmt.Fprintf(c.out, "%s stays in group %d\n", who, m.From)
	return err
}
