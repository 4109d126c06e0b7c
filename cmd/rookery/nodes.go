package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
)

func undrainVerb(s *cli.Shell) *cobra.Command {
	return nodeVerb(s, "undrain", &cobra.Command{
		Short: "let a drained node serve again", Example: "  rookery undrain mail2 -data /var/lib/rookery",
		Long: "Takes rookery drain back: the node may lead and hold groups again.", Annotations: cli.Exits("3 there is no such node"),
	})
}

func removeVerb(s *cli.Shell) *cobra.Command {
	return nodeVerb(s, "remove", &cobra.Command{
		Short: "take a node off the cluster for ever", Example: "  rookery remove mail2 -data /var/lib/rookery",
		Long: `The node is cut off at once and never comes back under its identity: a machine
whose disk is lost, or that was drained and is given away. It is refused where a
group would lose its majority; start the nodes that are down, or join another
node and wait until rookery status shows the groups on it. It asks first where the
node lives, unless -yes.`,
		Annotations: cli.Exits("3 there is no such node", "4 a group would lose its majority"),
	})
}

// nodeVerb completes undrain and remove, which take effect when they are written.
func nodeVerb(s *cli.Shell, name string, v *cobra.Command) *cobra.Command {
	v.Use, v.Args = name+" NODE", oneNode
	a := s.Ask(v.Flags())
	yes := new(bool)
	if name == "remove" {
		yes = v.Flags().Bool("yes", false, "remove a node that lives without asking")
	}
	v.RunE = func(c *cobra.Command, args []string) error {
		if name == "remove" {
			if err := confirmRemoval(c.Context(), a, args[0], *yes); err != nil {
				return err
			}
		}
		if err := a.Admin().SetNode(c.Context(), args[0], name); err != nil {
			return err
		}
		if a.JSON {
			return a.Line(map[string]string{"node": args[0], "done": name})
		}
		if name == "remove" {
			_, err := fmt.Fprintf(s.Out, removedText, args[0])
			return err
		}
		_, err := fmt.Fprintf(s.Out, "%s: %s is done; what moves because of it shows in rookery status\n", args[0], name)
		return err
	}
	return v
}

// removedText says what a removed node knew, and what becomes of that.
const removedText = `%s is removed; what moves because of it shows in rookery status.
The settings key that it knew changes by itself, and with it that of gossip. Its disk still holds the tenant key and the
cluster CA's key: wipe it. Where that is not sure, for the disk is lost or stolen, also run:
  rookery key rotate && rookery key destroy   (when key status shows every account under the new key)
  rookery ca rotate
and change the passwords in the settings (directories.*.password, store.secret_key). Then write a new recovery kit:
  rookery key kit FILE
`

// confirmRemoval asks before a node that lives is removed.
func confirmRemoval(ctx context.Context, a *cli.Asking, name string, yes bool) error {
	if yes {
		return nil
	}
	st, err := a.Admin().Status(ctx)
	if err != nil {
		return err
	}
	n := findNode(st, name)
	if !n.Alive {
		return nil // it is not there, or somebody mistyped its name
	}
	return cli.Confirm(ctx, false, removalWarning(n), n.Name)
}

func removalWarning(n adminapi.NodeStatus) string {
	return fmt.Sprintf("Node %s at %s lives: it holds %s and serves %s. Removed, it never comes back, and its directory is to be wiped.\n"+
		"To give a machine away in good order run first: rookery drain %s", n.Name, n.Address, plural.Of(n.Holds, "replica"),
		plural.Of(n.Sessions, "session"), n.Name)
}

func oneNode(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return cli.Usagef("needs the name or id of one node")
	}
	return nil
}

func drainVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "drain NODE", Short: "move leadership and replicas off a node", Args: oneNode,
		Long: `The node gives its leaderships away and gets no new replicas; those it has move
where another node is free to take them. Waits until the node leads nothing and
holds nothing that can move, and tells how far it is. Replicas without another
node to go to stay: the node may then be stopped for a while, and removed only
after another one has joined.`,
		Example:     "  rookery drain mail2 -data /var/lib/rookery",
		Annotations: cli.Exits("3 there is no such node", "4 the drain was taken back meanwhile", "5 the time is over first; the drain goes on"),
	}
	a := s.Ask(v.Flags())
	noWait := v.Flags().Bool("no-wait", false, "do not wait until the node is drained")
	timeout := v.Flags().Duration("timeout", time.Hour, "how long to wait")
	v.RunE = func(c *cobra.Command, args []string) error {
		if *timeout <= 0 {
			return cli.Usagef("-timeout %v: it must be above zero; -no-wait does not wait", *timeout)
		}
		return drain(c.Context(), a, args[0], *timeout, !*noWait)
	}
	return v
}

func drain(ctx context.Context, a *cli.Asking, name string, timeout time.Duration, wait bool) error {
	c := a.Admin()
	err := c.SetNode(ctx, name, "drain")
	switch {
	case err != nil:
		return err
	case !wait && a.JSON:
		return a.Line(map[string]any{"node": name, "drained": false})
	case !wait:
		_, err = fmt.Fprintf(a.Out, "%s drains; how far it is shows in rookery status\n", name)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	n, err := awaitDrained(ctx, c, name, a.Progress())
	switch {
	case err != nil:
		return err
	case a.JSON:
		return a.Line(map[string]any{"node": n.Name, "drained": true, "holds": n.Holds, "sessions": n.Sessions})
	case n.Holds > 0:
		_, err = fmt.Fprintf(a.Out, "%s is drained: it leads nothing. It keeps %s, for which no other node is free: stop it "+
			"for a while, but remove it only after another node has joined\n", n.Name, plural.Of(n.Holds, "replica"))
	default:
		_, err = fmt.Fprintf(a.Out, "%s is drained: it leads nothing and holds nothing\n", n.Name)
	}
	return err
}

// awaitDrained waits until a node leads nothing and what it holds cannot
// move, and tells each change.
func awaitDrained(ctx context.Context, admin *adminapi.Client, name string, progress io.Writer) (n adminapi.NodeStatus, err error) {
	var told string
	for calm := 0; ; {
		st, err := admin.Status(ctx)
		if err == nil {
			n = findNode(st, name)
			if n.Node == "" {
				return n, rookery.E("drain", rookery.KindNotFound, fmt.Errorf("node %q is no member any more", name))
			}
			if n.State == "active" {
				return n, rookery.E("drain", rookery.KindConflict, fmt.Errorf("the drain of %s was taken back meanwhile", n.Name))
			}
			if now := fmt.Sprintf("%s: leads %s, holds %s, %s\n", n.Name, plural.Of(n.Leads, "group"), plural.Of(n.Holds, "replica"),
				plural.Of(n.Sessions, "session")); now != told {
				told, calm = now, 0
				io.WriteString(progress, now)
			}
			// A dead node's leaderships are others' already.
			if n.Leads == 0 && (n.Holds == 0 || !n.Movable) {
				if calm++; calm >= 3 {
					return n, nil
				}
			} else {
				calm = 0
			}
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			if n.Node == "" {
				return n, rookery.E("drain", rookery.KindUnavailable,
					fmt.Errorf("%s drains, and how far it is could not be asked: %w; see rookery status", name, cmp.Or(err, ctx.Err())))
			}
			return n, rookery.E("drain", rookery.KindUnavailable,
				fmt.Errorf("%s is not drained yet: it leads %s and holds %s; it goes on, see rookery status", name,
					plural.Of(n.Leads, "group"), plural.Of(n.Holds, "replica")))
		}
	}
}

func findNode(st adminapi.Status, name string) adminapi.NodeStatus {
	for _, n := range st.Nodes {
		if n.Name == name || n.Node == name {
			return n
		}
	}
	return adminapi.NodeStatus{}
}
