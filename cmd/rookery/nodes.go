package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"rookery"
	"rookery/cmd/node"
)

func nodeVerbs() []verb {
	return []verb{drainVerb(),
		nodeVerb("undrain", "let a drained node serve again", `Takes rookery drain back: the node may lead and hold groups again.

Example: rookery undrain mail2 -data /var/lib/rookery`),
		nodeVerb("remove", "take a node off the cluster for ever", `The node is cut off at once and never comes back under its identity: a machine
whose disk is lost, or that was drained and is given away. Refused with exit
code 4 where a group would lose its majority; start the nodes that are down, or
join another node and wait until rookery status shows the groups on it.

Example: rookery remove mail2 -data /var/lib/rookery`),
	}
}

// nodeVerb makes undrain and remove, which take effect when they are written.
func nodeVerb(name, short, long string) verb {
	v := verb{name: name, args: "NODE [-data DIR | -socket PATH] [--json]", short: short, long: long}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		asJSON := f.Bool("json", false, "print JSON")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		if len(rest) != 1 || rest[0] == "" {
			return usagef("needs the name or id of one node")
		}
		if err := admin().SetNode(ctx, rest[0], name); err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(s.out).Encode(map[string]string{"node": rest[0], "done": name})
		}
		_, err = fmt.Fprintf(s.out, "%s: %s is done; what moves because of it shows in rookery status\n", rest[0], name)
		return err
	}
	return v
}

func drainVerb() verb {
	v := verb{name: "drain", args: "NODE [-data DIR | -socket PATH] [-no-wait] [-timeout TIME] [--json]", short: "move leadership and replicas off a node",
		long: `The node gives its leaderships away and gets no new replicas; those it has move
where another node is free to take them. Waits until the node leads nothing and
holds nothing that can move, and tells how far it is. Replicas without another
node to go to stay: the node may then be stopped for a while, and removed only
after another one has joined. Exit code 5 when the time is over first; the
drain goes on.

Example: rookery drain mail2 -data /var/lib/rookery`}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		noWait := f.Bool("no-wait", false, "do not wait until the node is drained")
		timeout := f.Duration("timeout", time.Hour, "how long to wait")
		asJSON := f.Bool("json", false, "print JSON when it is done")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		if len(rest) != 1 || rest[0] == "" {
			return usagef("needs the name or id of one node")
		}
		if *timeout <= 0 {
			return usagef("-timeout %v: it must be above zero; -no-wait does not wait", *timeout)
		}
		c := admin()
		if err := c.SetNode(ctx, rest[0], "drain"); err != nil {
			return err
		}
		if *noWait {
			if *asJSON {
				return json.NewEncoder(s.out).Encode(map[string]any{"node": rest[0], "drained": false})
			}
			_, err = fmt.Fprintf(s.out, "%s drains; how far it is shows in rookery status\n", rest[0])
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		progress := s.out
		if *asJSON {
			progress = io.Discard
		}
		n, err := awaitDrained(ctx, c, rest[0], progress)
		if err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(s.out).Encode(map[string]any{"node": n.Name, "drained": true, "holds": n.Holds, "sessions": n.Sessions})
		}
		if n.Holds > 0 {
			_, err = fmt.Fprintf(s.out, "%s is drained: it leads nothing. It keeps %d replicas, for which no other node is free: stop it for a while, but remove it only after another node has joined\n", n.Name, n.Holds)
		} else {
			_, err = fmt.Fprintf(s.out, "%s is drained: it leads nothing and holds nothing\n", n.Name)
		}
		return err
	}
	return v
}

// awaitDrained waits until a node leads nothing and what it holds cannot
// move, and tells each change.
func awaitDrained(ctx context.Context, admin *node.AdminClient, name string, progress io.Writer) (n node.NodeStatus, err error) {
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
			if now := fmt.Sprintf("%s: leads %d groups, holds %d replicas, %d sessions\n", n.Name, n.Leads, n.Holds, n.Sessions); now != told {
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
				return n, rookery.E("drain", rookery.KindUnavailable, fmt.Errorf("%s drains, and how far it is could not be asked: %w; see rookery status", name, cmp.Or(err, ctx.Err())))
			}
			return n, rookery.E("drain", rookery.KindUnavailable, fmt.Errorf("%s is not drained yet: it leads %d groups and holds %d replicas; it goes on, see rookery status", name, n.Leads, n.Holds))
		}
	}
}

func findNode(st node.Status, name string) node.NodeStatus {
	for _, n := range st.Nodes {
		if n.Name == name || n.Node == name {
			return n
		}
	}
	return node.NodeStatus{}
}
