package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
)

const accountEraseLong = `Erases accounts, named by an address or an id, so that nothing of them can be read
anywhere any more: not on a node, not in the object store, not in a backup. It
takes their keys away, brings a new tenant key into use, rewraps all other
accounts under it and destroys the older ones on every node. Name many at once:
they cost one rotation. It asks first, unless -yes. It waits and tells how far it
is; the erasure goes on without this command, and calling it again is right.`

func accountEraseVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "erase ACCOUNT...", Short: "erase accounts, so that nothing of them can be read any more", Long: accountEraseLong,
		Example:     "  rookery account erase old.user@example.com -data /var/lib/rookery",
		Annotations: cli.Exits("3 there is no such account", "5 it is not done within -timeout: every node must answer; it goes on"),
	}
	f := v.Flags()
	from := f.String("from", "", "file with more accounts to erase, one a line (- is standard input)")
	yes := f.Bool("yes", false, "erase without asking")
	timeout := f.Duration("timeout", time.Hour, "how long to wait until the erasure is done; 0 does not wait")
	v.RunE = func(c *cobra.Command, who []string) error {
		if *from != "" {
			more, err := readNames(*from)
			if err != nil {
				return err
			}
			who = append(who, more...)
		}
		if len(who) == 0 {
			return cli.Usagef("erase needs the address or id of an account")
		}
		if err := cli.Confirm(c.Context(), *yes, eraseWarning(who), "erase"); err != nil {
			return err
		}
		return accountErase(c.Context(), a, who, *timeout)
	}
	return v
}

func accountErase(ctx context.Context, a *cli.Asking, who []string, timeout time.Duration) error {
	c := a.Admin().Patient(keyPatience)
	ids, err := c.Erase(ctx, who)
	if err != nil {
		return err
	}
	done := timeout > 0
	if done {
		waiting, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if err := awaitErased(waiting, c, ids, a.Progress()); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.Line(map[string]any{"accounts": ids, "done": done})
	}
	if !done {
		_, err = fmt.Fprintf(a.Out, "the erasure of %s has begun; how far it is shows in rookery key status\n",
			plural.Of(len(ids), "account"))
		return err
	}
	_, err = fmt.Fprintf(a.Out, "%s erased, and nothing of them can be read on any node.\nNext: rookery key kit FILE, "+
		"and destroy the recovery kits from before: they hold the destroyed key\n", plural.Are(len(ids), "account"))
	return err
}

func eraseWarning(who []string) string {
	shown := who[:min(len(who), 10)]
	text := strings.Join(shown, "\n  ")
	if more := len(who) - len(shown); more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return fmt.Sprintf("This erases %s with all their mail, for ever; no backup brings them back:\n  %s",
		plural.Of(len(who), "account"), text)
}

func readNames(path string) (names []string, err error) {
	in := io.Reader(os.Stdin)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, rookery.E("read accounts", rookery.KindNotFound, err)
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if name := strings.TrimSpace(lines.Text()); name != "" && !strings.HasPrefix(name, "#") {
			names = append(names, name)
		}
	}
	return names, lines.Err()
}

// awaitErased waits until none of the accounts is being erased any more, and
// tells each change.
func awaitErased(ctx context.Context, c *adminapi.Client, ids []string, progress io.Writer) error {
	told, last := "", "nothing was heard of it"
	for {
		st, err := c.Keys(ctx)
		if err == nil {
			left := 0
			for _, e := range st.Erasures {
				if slices.Contains(ids, e.ID) {
					left++
				}
			}
			if left == 0 {
				return nil
			}
			last = st.Progress
			if now := fmt.Sprintf("%d of %d accounts to go: %s\n", left, len(ids), st.Progress); now != told {
				told = now
				io.WriteString(progress, now)
			}
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return rookery.E("erase accounts", rookery.KindUnavailable, fmt.Errorf("not done yet: %s; it goes on, see rookery key status", last))
		}
	}
}
