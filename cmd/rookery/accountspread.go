package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

// spreadAtOnce is how many accounts a spread has under way.
const spreadAtOnce = 8

// transfer is one account that a spread moves.
type transfer struct {
	Account string          `json:"account"`
	From    rookery.GroupID `json:"from"`
	To      rookery.GroupID `json:"to"`
}

// plan says which accounts to move so that the groups' numbers differ by one at
// most: no more than are needed, from the fullest group to the emptiest.
func plan(groups []rookery.GroupID, accounts []adminapi.AccountStatus) (moves []transfer) {
	in := map[rookery.GroupID][]string{}
	for _, g := range groups {
		in[g] = nil
	}
	for _, a := range accounts {
		if _, known := in[a.Group]; known {
			in[a.Group] = append(in[a.Group], a.Account)
		}
	}
	if len(in) == 0 {
		return nil
	}
	by := func(a, b rookery.GroupID) int {
		if d := len(in[a]) - len(in[b]); d != 0 {
			return d
		}
		return int(b) - int(a)
	}
	for {
		least, most := slices.MinFunc(groups, by), slices.MaxFunc(groups, by)
		if len(in[most])-len(in[least]) < 2 {
			return moves
		}
		last := len(in[most]) - 1
		id := in[most][last]
		in[most], in[least] = in[most][:last], append(in[least], id)
		moves = append(moves, transfer{id, most, least})
	}
}

func accountSpreadVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "spread", Short: "even out the numbers of accounts of the groups", Args: cobra.ExactArgs(0),
		Long: `Moves accounts from the groups with the most to those with the fewest until the
numbers differ by one at most: after rookery group add, say. It waits; when it is
interrupted the moves it began go on, and it may be called again.`,
		Example:     "  rookery account spread -timeout 1h -data /var/lib/rookery",
		Annotations: cli.Exits("4 a move was given up", "5 the time is over (moves that began go on), or rookery upgrade finalize is due"),
	}
	timeout := v.Flags().Duration("timeout", 24*time.Hour, "how long to wait")
	v.RunE = func(c *cobra.Command, _ []string) error { return accountSpread(c.Context(), a, *timeout) }
	return v
}

func accountSpread(ctx context.Context, c *cli.Asking, timeout time.Duration) error {
	st, err := c.Admin().Status(ctx)
	if err != nil {
		return err
	}
	accounts, err := c.Admin().Accounts(ctx, 0)
	if err != nil {
		return err
	}
	var groups []rookery.GroupID
	for _, g := range st.Groups {
		if g.Group != rookery.SystemGroup && g.Leader != "" {
			groups = append(groups, g.Group)
		}
	}
	moves := plan(groups, accounts)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	fmt.Fprintf(c.Progress(), "%d of %d accounts are to move\n", len(moves), len(accounts))
	if err := carryOut(ctx, c, moves); err != nil {
		return err
	}
	if c.JSON {
		if moves == nil {
			moves = []transfer{}
		}
		return c.Print(moves)
	}
	_, err = fmt.Fprintln(c.Out, "the accounts are spread evenly")
	return err
}

// carryOut moves accounts, a few at once, and waits for all of them.
func carryOut(ctx context.Context, c *cli.Asking, moves []transfer) error {
	var open []transfer
	for next := 0; next < len(moves) || len(open) > 0; {
		for ; next < len(moves) && len(open) < spreadAtOnce; next++ {
			x := moves[next]
			if _, err := c.Admin().MoveAccount(ctx, x.Account, x.To); err != nil && !rookery.Is(err, rookery.KindExists) {
				return fmt.Errorf("%d of %d accounts have moved: %w", next-len(open), len(moves), err)
			}
			open = append(open, x)
		}
		x := open[0]
		if err := awaitMove(ctx, c, x.Account, x.To, io.Discard); err != nil {
			return fmt.Errorf("%d of %d accounts have moved: %w", next-len(open), len(moves), err)
		}
		open = open[1:]
		fmt.Fprintf(c.Progress(), "%s account %s is in group %d, %d to go\n", time.Now().Format(time.TimeOnly), x.Account, x.To,
			len(moves)-next+len(open))
	}
	return nil
}
