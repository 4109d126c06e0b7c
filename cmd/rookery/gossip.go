package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node"
)

func gossipVerb() verb {
	v := verb{name: "gossip", args: "rotate [-data DIR | -socket PATH] [-no-wait] [-timeout TIME] [--json]", short: "change the key that nodes encrypt their signs of life with",
		long: `Changes the key of gossip without a break: every node gets the new key, then all
use it, then the old one is forgotten. Each step waits for the nodes that live;
one that is down learns the key when it is back. The key also changes by itself
after rookery remove, for the removed node knows it.

Waits until the change is done and tells how far it is (-no-wait does not wait).
Exit code 5 when the time is over first: it goes on, see rookery status. It is
also refused with code 5 until rookery upgrade finalize, where that is due.

Example: rookery gossip rotate -data /var/lib/rookery`}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		noWait := f.Bool("no-wait", false, "do not wait until the key is changed")
		timeout := f.Duration("timeout", 2*time.Minute, "how long to wait")
		asJSON := f.Bool("json", false, "print JSON when it is done")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		if len(rest) != 1 || rest[0] != "rotate" {
			return usagef("knows one order: rotate")
		}
		c := admin()
		settled, err := c.RotateGossip(ctx)
		if err != nil {
			return err
		}
		progress := s.out
		if *asJSON {
			progress = io.Discard
		}
		done := false
		if !*noWait {
			ctx, cancel := context.WithTimeout(ctx, *timeout)
			defer cancel()
			if err := awaitRing(ctx, c, settled, progress); err != nil {
				return err
			}
			done = true
		}
		switch {
		case *asJSON:
			return json.NewEncoder(s.out).Encode(map[string]any{"version": settled, "done": done})
		case done:
			_, err = fmt.Fprintln(s.out, "the key is changed on every node that lives; no other key is known any more")
		default:
			_, err = fmt.Fprintln(s.out, "the key changes; how far it is shows in rookery status --json")
		}
		return err
	}
	return v
}

// awaitRing waits until the ring has reached a version and every node that
// lives has taken it, and tells each step.
func awaitRing(ctx context.Context, c *node.AdminClient, version uint64, progress io.Writer) error {
	told := ""
	for {
		st, err := c.Status(ctx)
		if err == nil {
			g := st.Gossip
			if g.Version >= version && len(g.Waits) == 0 {
				return nil
			}
			now := "keys " + g.Stage
			if len(g.Waits) > 0 {
				now += ", waiting for " + strings.Join(g.Waits, ", ")
			}
			if now != told {
				told = now
				fmt.Fprintln(progress, now)
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return rookery.E("rotate gossip key", rookery.KindUnavailable, fmt.Errorf("not done yet (%s); it goes on, see rookery status", told))
		}
	}
}
