package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"rookery"
	"rookery/cmd/node"
	"rookery/storage/command"
)

const upgradeLong = `Upgrades go one node after the other: stop it, replace the binary, start it, wait
until rookery status finds nothing wrong. Until the new version is finalised no
command is written that the old one does not read, so each node may go back.

  status    shows each node's versions, what finalising enables, and whether the
            way back is open; exit code 1 while nodes are behind
  finalize  allows the new commands, once every node reads them; there is no way
            back after it. Refused (exit code 4) with the names of those behind.

Example: rookery upgrade status -data /var/lib/rookery`

// upgradeStatus is what rookery upgrade status --json prints.
type upgradeStatus struct {
	Nodes []node.NodeStatus `json:"nodes"`
	// Gate is the version that is final, Next what finalising would make it.
	Gate uint32 `json:"gate"`
	Next uint32 `json:"next"`
	// Enables are the numbers of the commands that finalising allows.
	Enables  []command.Type `json:"enables"`
	Behind   []string       `json:"behind"`
	Rollback bool           `json:"rollback_possible"`
}

func upgradeVerb() verb {
	v := verb{name: "upgrade", args: "status|finalize [-data DIR | -socket PATH] [--json]", short: "see and finish a rolling upgrade", long: upgradeLong}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		asJSON := f.Bool("json", false, "print JSON")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		if len(rest) != 1 || rest[0] != "status" && rest[0] != "finalize" {
			return usagef("needs status or finalize")
		}
		if rest[0] == "finalize" {
			if err := admin().Finalize(ctx); err != nil {
				return err
			}
		}
		st, err := admin().Status(ctx)
		if err != nil {
			return err
		}
		return printUpgrade(s, judgeUpgrade(st), *asJSON)
	}
	return v
}

// judgeUpgrade compares the nodes with each other and with the gate.
func judgeUpgrade(st node.Status) upgradeStatus {
	u := upgradeStatus{Nodes: st.Nodes, Gate: max(st.Gate, 1), Enables: []command.Type{}, Behind: []string{}}
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

func printUpgrade(s *shell, u upgradeStatus, asJSON bool) error {
	var err error
	if asJSON {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(u)
	} else {
		w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprint(w, "NODE\tBINARY\tREADS VERSION\tALIVE\n")
		for _, n := range u.Nodes {
			fmt.Fprintf(w, "%s\t%s\t%d\t%v\n", n.Name, dash(n.Binary), n.Version, n.Alive)
		}
		fmt.Fprintf(w, "\nfinal: version %d\n", u.Gate)
		switch {
		case len(u.Behind) > 0:
			fmt.Fprintf(w, "behind version %d: %v\nevery node may still go back\n", u.Next, u.Behind)
		case u.Rollback:
			fmt.Fprintf(w, "every node reads version %d; finalising allows %d kinds of commands; until then every node may go back\n", u.Next, len(u.Enables))
		default:
			fmt.Fprint(w, "nothing to finalise\n")
		}
		err = w.Flush()
	}
	if err == nil && len(u.Behind) > 0 {
		err = rookery.E("upgrade", rookery.KindDenied, fmt.Errorf("%d nodes are behind", len(u.Behind)))
	}
	return err
}
