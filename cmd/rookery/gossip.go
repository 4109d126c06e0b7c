package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
)

func gossipVerb(s *shell) *cobra.Command {
	v := &cobra.Command{Use: "gossip", Short: "change the key that nodes encrypt their signs of life with", Example: "  rookery gossip rotate -data /var/lib/rookery"}
	return family(v, gossipRotateVerb(s.ask(v.PersistentFlags())))
}

func gossipRotateVerb(a *asking) *cobra.Command {
	v := &cobra.Command{
		Use: "rotate", Short: "change the key of gossip without a break", Args: cobra.ExactArgs(0),
		Long: `Changes the key of gossip without a break: every node gets the new key, then all
use it, then the old one is forgotten. Each step waits for the nodes that live;
one that is down learns the key when it is back. The key also changes by itself
after rookery remove, for the removed node knows it.

Waits until the change is done and tells how far it is (-no-wait does not wait).`,
		Example:     "  rookery gossip rotate -data /var/lib/rookery",
		Annotations: exits("5 the time is over first (it goes on, see rookery status), or rookery upgrade finalize is due"),
	}
	noWait := v.Flags().Bool("no-wait", false, "do not wait until the key is changed")
	timeout := v.Flags().Duration("timeout", 2*time.Minute, "how long to wait")
	v.RunE = func(c *cobra.Command, _ []string) error { return gossipRotate(c.Context(), a, *timeout, !*noWait) }
	return v
}

func gossipRotate(ctx context.Context, a *asking, timeout time.Duration, wait bool) error {
	c := a.admin()
	settled, err := c.RotateGossip(ctx)
	if err != nil {
		return err
	}
	if wait {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if err := awaitRing(ctx, c, settled, a.progress()); err != nil {
			return err
		}
	}
	switch {
	case a.json:
		return a.line(map[string]any{"version": settled, "done": wait})
	case wait:
		_, err = fmt.Fprintln(a.out, "the key is changed on every node that lives; no other key is known any more")
	default:
		_, err = fmt.Fprintln(a.out, "the key changes; how far it is shows in rookery status --json")
	}
	return err
}

// awaitRing waits until the ring has reached a version and every node that
// lives has taken it, and tells each step.
func awaitRing(ctx context.Context, c *adminapi.Client, version uint64, progress io.Writer) error {
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
