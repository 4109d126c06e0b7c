package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
)

func statusVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "status", Short: "show nodes, groups, and what is wrong", Args: cobra.ExactArgs(0),
		Long: `Shows the cluster as a node sees it: nodes, groups with their leaders and how
far each member's state is behind, disk, and what is wrong.

With -watch it looks again every two seconds (-every) until Ctrl-C, which ends it
with exit code 0: in place on a terminal, else one table after the other; with
--json one line of JSON each time.`,
		Example:     "  rookery status -data /var/lib/rookery\n  rookery status -data /var/lib/rookery -watch -every 5s",
		Annotations: cli.Exits("1 something is wrong"),
	}
	a := s.Ask(v.Flags())
	again := v.Flags().Bool("watch", false, "look again and again, until Ctrl-C")
	every := v.Flags().Duration("every", 2*time.Second, "time between two looks of -watch, 200ms to 1h")
	v.RunE = func(c *cobra.Command, _ []string) error {
		if *every < watchLeast || *every > watchMost {
			return cli.Usagef("-every %v: use %v to %v", *every, watchLeast, watchMost)
		}
		if *again {
			return watch(c.Context(), s, a.Admin(), *every, a.JSON)
		}
		st, err := a.Admin().Status(c.Context())
		if err != nil {
			return err
		}
		if a.JSON {
			err = a.Print(st)
		} else {
			err = statusTable(s, st)
		}
		if err == nil && len(st.Problems) > 0 {
			return rookery.E("look at the cluster", rookery.KindDenied, fmt.Errorf("%s wrong", plural.Are(len(st.Problems), "thing")))
		}
		return err
	}
	return v
}

func statusTable(s *cli.Shell, st adminapi.Status) error {
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "cluster %s, settings version %d, asked %s\n\nNODE\tADDRESS\tSTATE\tALIVE\tUP\tLEADS\tHOLDS\tSESSIONS\tDISK\n",
		st.Cluster, st.Settings, st.Name)
	for _, n := range st.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", n.Name, n.Address, n.State, alive(n), uptime(n), n.Leads, n.Holds,
			n.Sessions, cli.Dash(n.Disk))
	}
	fmt.Fprint(w, "\nGROUP\tLEADER\tMEMBERS (ENTRIES BEHIND)\tLAST\tUNPACKED\n")
	for _, g := range st.Groups {
		var members []string
		for _, m := range g.Members {
			members = append(members, fmt.Sprintf("%s (%s)", m, behind(g, m)))
		}
		for _, m := range g.Learners {
			members = append(members, fmt.Sprintf("%s (%s, learner)", m, behind(g, m)))
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\n", g.Group, cli.Dash(g.Leader), strings.Join(members, ", "), g.Last, unpacked(g))
	}
	for i, m := range st.Moves {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, "moving: "+sayMove(m))
	}
	fmt.Fprintf(w, "\nlog: %s, %d MiB; free %d MiB, disk %s\n", plural.Of(st.Log.Segments, "segment"),
		st.Log.Bytes>>20, st.Log.Free>>20, st.Log.Disk)
	printStored(w, st)
	fmt.Fprintf(w, "bodies: %d MiB cached; %s to the object store brought %d MiB\n", st.Reads.Cached>>20, plural.Of(st.Reads.Gets, "request"),
		st.Reads.Bytes>>20)
	if st.Store != "" {
		fmt.Fprintf(w, "object store: %s\n", st.Store)
	}
	if len(st.Problems) == 0 {
		fmt.Fprint(w, "\nnothing is wrong\n")
	}
	for _, p := range st.Problems {
		fmt.Fprintf(w, "\nwrong: %s", p)
	}
	if len(st.Problems) > 0 {
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// behind is how many entries a member lacks, ? where it does not say.
func behind(g adminapi.GroupStatus, member string) string {
	if lag, ok := g.Lag[member]; ok {
		return fmt.Sprint(lag)
	}
	return "?"
}

// unpacked is what waits to go into the object store, and for how long.
func unpacked(g adminapi.GroupStatus) string {
	if g.Unpacked == 0 {
		return "-"
	}
	return fmt.Sprintf("%s, %d KiB, %s", plural.Of(g.Unpacked, "body"), g.Bytes>>10, time.Duration(g.Oldest)*time.Second)
}

// alive says since when a node is dead.
func alive(n adminapi.NodeStatus) string {
	switch {
	case n.Alive:
		return "yes"
	case n.Since == nil:
		return "no"
	}
	return "no, " + time.Since(*n.Since).Round(time.Second).String()
}

func uptime(n adminapi.NodeStatus) string {
	if !n.Alive {
		return "-"
	}
	return (time.Duration(n.Up) * time.Second).String()
}
