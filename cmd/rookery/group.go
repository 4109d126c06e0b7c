package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

func groupVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{Use: "group", Short: "add mail groups, over which new accounts are spread",
		Example: "  rookery group add -count 4 -data /var/lib/rookery"}
	return cli.Family(v, groupAddVerb(s.Ask(v.PersistentFlags())))
}

func groupAddVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "add", Short: "add mail groups", Args: cobra.ExactArgs(0),
		Long: `Adds mail groups (1, or up to 64 with -count). Each is begun by the node with the
fewest groups and then placed on as many nodes as the replication setting says.
Accounts made from then on are spread over all groups; those there are stay in
theirs. A group cannot be taken away again.`,
		Example: "  rookery group add -count 4 -data /var/lib/rookery",
		Annotations: cli.Exits("5 a group has not begun within 15 seconds (it takes no accounts until the node that begins it is back, " +
			"which shows in rookery status), or rookery upgrade finalize is due"),
	}
	count := v.Flags().Int("count", 1, "how many groups to add, 1 to 64")
	v.RunE = func(c *cobra.Command, _ []string) error {
		if *count < 1 || *count > adminapi.MaxAddGroups {
			return cli.Usagef("-count must be 1 to %d", adminapi.MaxAddGroups)
		}
		added, err := a.Admin().AddGroups(c.Context(), *count)
		if err := errors.Join(printGroups(a, added), err); err != nil {
			return err
		}
		for _, g := range added {
			if !g.Begun {
				return rookery.E("add groups", rookery.KindUnavailable,
					fmt.Errorf("group %d has not begun yet: node %s must answer; see rookery status", g.Group, g.Founder))
			}
		}
		return nil
	}
	return v
}

func printGroups(s *cli.Asking, added []adminapi.AddedGroup) error {
	if s.JSON {
		if added == nil {
			added = []adminapi.AddedGroup{}
		}
		return s.Print(added)
	}
	for _, g := range added {
		state := "takes accounts"
		if !g.Begun {
			state = "has not begun yet"
		}
		if _, err := fmt.Fprintf(s.Out, "group %d, begun by %s: %s\n", g.Group, g.Founder, state); err != nil {
			return err
		}
	}
	return nil
}
