package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
	"rookery/storage/command"
)

const upgradeLong = `Upgrades go one node after the other: stop it, replace the binary, start it, wait
until rookery status finds nothing wrong. Until the new version is finalised no
command is written that the old one does not read, so each node may go back.`

// upgradeStatus is what rookery upgrade status --json prints.
type upgradeStatus struct {
	Nodes []adminapi.NodeStatus `json:"nodes"`
	// Gate is the version that is final, Next what finalising would make it.
	Gate uint32 `json:"gate"`
	Next uint32 `json:"next"`
	// Enables are the commands that finalising allows.
	Enables  []string `json:"enables"`
	Behind   []string `json:"behind"`
	Rollback bool     `json:"rollback_possible"`
}

func upgradeVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{Use: "upgrade", Short: "see and finish a rolling upgrade", Long: upgradeLong,
		Example: "  rookery upgrade status -data /var/lib/rookery"}
	a := s.Ask(v.PersistentFlags())
	show := func(ctx context.Context) error {
		st, err := a.Admin().Status(ctx)
		if err != nil {
			return err
		}
		return printUpgrade(a, judgeUpgrade(st))
	}
	return cli.Family(v, &cobra.Command{
		Use: "status", Short: "show what finalising enables, and whether the way back is open", Args: cobra.ExactArgs(0),
		Example: "  rookery upgrade status", Annotations: cli.Exits("1 nodes are behind"),
		RunE: func(c *cobra.Command, _ []string) error { return show(c.Context()) },
	}, &cobra.Command{
		Use: "finalize", Short: "allow the new commands; there is no way back after it", Args: cobra.ExactArgs(0),
		Long:    "Allows the new commands, once every node reads them; there is no way back after it.",
		Example: "  rookery upgrade finalize", Annotations: cli.Exits("4 nodes are behind; they are named"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.Admin().Finalize(c.Context()); err != nil {
				return err
			}
			return show(c.Context())
		},
	})
}

// judgeUpgrade compares the nodes with each other and with the gate.
func judgeUpgrade(st adminapi.Status) upgradeStatus {
	u := upgradeStatus{Nodes: st.Nodes, Gate: max(st.Gate, 1), Enables: []string{}, Behind: []string{}}
	for _, n := range st.Nodes {
		u.Next = max(u.Next, n.Version)
	}
	for _, n := range st.Nodes {
		if n.Version < u.Next {
			u.Behind = append(u.Behind, n.Name)
		}
	}
	for v := u.Gate + 1; v <= u.Next; v++ {
		u.Enables = append(u.Enables, command.BroughtBy(v)...)
	}
	u.Rollback = u.Gate < u.Next
	return u
}

func printUpgrade(s *cli.Asking, u upgradeStatus) error {
	var err error
	if s.JSON {
		err = s.Print(u)
	} else {
		w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
		fmt.Fprint(w, "NODE\tBINARY\tREADS VERSION\tALIVE\n")
		for _, n := range u.Nodes {
			fmt.Fprintf(w, "%s\t%s\t%d\t%v\n", n.Name, cli.Dash(n.Binary), n.Version, n.Alive)
		}
		fmt.Fprintf(w, "\nfinal: version %d\n", u.Gate)
		switch {
		case len(u.Behind) > 0:
			fmt.Fprintf(w, "behind version %d: %v\nevery node may still go back\n", u.Next, u.Behind)
		case u.Rollback:
			fmt.Fprintf(w, "every node reads version %d; finalising allows %d kinds of commands; until then every node may go back\n",
				u.Next, len(u.Enables))
		default:
			fmt.Fprint(w, "nothing to finalise\n")
		}
		err = w.Flush()
	}
	if err == nil && len(u.Behind) > 0 {
		err = rookery.E("upgrade", rookery.KindDenied, fmt.Errorf("%s behind", plural.Are(len(u.Behind), "node")))
	}
	return err
}
