package main

import (
	"context"
	"encoding/json"
	"fmt"

	"rookery"
	"rookery/cmd/node"
)

func groupVerb() verb {
	v := verb{name: "group", args: "add [-count N] [-data DIR | -socket PATH] [--json]", short: "add mail groups, over which new accounts are spread",
		long: `Adds mail groups (1, or up to 64 with -count). Each is begun by the node with the
fewest groups and then placed on as many nodes as the replication setting says.
Accounts made from then on are spread over all groups; those there are stay in
theirs. A group cannot be taken away again.

Exit code 5 when a group has not begun within 15 seconds: it takes no accounts
until the node that begins it is back, which shows in rookery status. It is also
refused with code 5 until rookery upgrade finalize, where that is due.

Example: rookery group add -count 4 -data /var/lib/rookery`}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		count := f.Int("count", 1, "how many groups to add, 1 to 64")
		asJSON := f.Bool("json", false, "print JSON")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		if len(rest) != 1 || rest[0] != "add" {
			return usagef("knows one order: add")
		}
		if *count < 1 || *count > node.MaxAddGroups {
			return usagef("-count must be 1 to %d", node.MaxAddGroups)
		}
		added, err := admin().AddGroups(ctx, *count)
		if perr := printGroups(s, added, *asJSON); perr != nil || err != nil {
			if err == nil {
				err = perr
			}
			return err
		}
		for _, g := range added {
			if !g.Begun {
				return rookery.E("add groups", rookery.KindUnavailable, fmt.Errorf("group %d has not begun yet: node %s must answer; see rookery status", g.Group, g.Founder))
			}
		}
		return nil
	}
	return v
}

func printGroups(s *shell, added []node.AddedGroup, asJSON bool) error {
	if asJSON {
		if added == nil {
			added = []node.AddedGroup{}
		}
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		return enc.Encode(added)
	}
	for _, g := range added {
		state := "takes accounts"
		if !g.Begun {
			state = "has not begun yet"
		}
		if _, err := fmt.Fprintf(s.out, "group %d, begun by %s: %s\n", g.Group, g.Founder, state); err != nil {
			return err
		}
	}
	return nil
}
