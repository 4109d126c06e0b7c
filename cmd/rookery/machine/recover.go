package machine

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/rookery/cli"
)

const recoverLong = `Builds a cluster from the survivors' disks when the majority of its nodes is lost
for ever. While enough nodes can come back, start them instead: that loses
nothing. docs/operator/recovery.md explains the steps.

  1. Stop rookery on every surviving machine; keep the dead ones off the network.
  2. On each survivor:  rookery recover inspect -data DIR --json > NAME.json
  3. Bring the reports of all survivors to each survivor, and there:
       rookery recover apply -data DIR A.json B.json
     It prints what it will do and what may be lost, and asks for the cluster's
     id (or give -yes). After a crash repeat it without reports.
  4. Start the survivors, then join new nodes with rookery token and join.
`

// Recover is rookery recover.
func Recover(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "recover", Short: "go on after the majority is lost for ever", Long: strings.TrimSpace(recoverLong),
		Example: "  rookery recover apply -data /var/lib/rookery mail1.json mail2.json",
	}
	r := &recovering{Shell: s}
	v.PersistentFlags().StringVar(&r.data, "data", cli.DataDefault(""), "data directory of the stopped node")
	v.PersistentFlags().BoolVar(&r.json, "json", false, "print JSON")
	return cli.Family(v, recoverInspectVerb(r), recoverApplyVerb(r))
}

// recovering is what both steps of a recovery share.
type recovering struct {
	*cli.Shell
	data string
	json bool
}

func recoverInspectVerb(r *recovering) *cobra.Command {
	return &cobra.Command{
		Use: "inspect", Short: "report what a survivor's disk holds", Args: cobra.ExactArgs(0),
		Example:     "  rookery recover inspect -data /var/lib/rookery --json > mail1.json",
		Annotations: cli.Exits("4 the node runs", "6 a damaged disk"),
		RunE:        func(*cobra.Command, []string) error { return recoverInspect(r) },
	}
}

func recoverApplyVerb(r *recovering) *cobra.Command {
	v := &cobra.Command{
		Use: "apply REPORT...", Short: "make a survivor's disk a part of the recovered cluster",
		Example: "  rookery recover apply -data /var/lib/rookery mail1.json mail2.json",
		Annotations: cli.Exits("2 wrong call, or reports that do not fit",
			"4 nothing to recover, a group without a copy, or disks that changed since the report",
			"6 a damaged disk"),
	}
	margin := v.Flags().Uint("margin", 1_000_000,
		"how far UIDNEXT jumps in every mailbox: more than the dead nodes can have given since the survivors last heard of them")
	yes := v.Flags().Bool("yes", false, "do not ask")
	v.RunE = func(_ *cobra.Command, files []string) error {
		if *margin < 1000 || *margin > 100_000_000 {
			return cli.Usagef("needs a -margin of 1000 to 100000000")
		}
		return recoverApply(r, files, uint32(*margin), *yes)
	}
	return v
}

func recoverInspect(s *recovering) error {
	if s.data == "" {
		return cli.Usagef("needs -data DIR")
	}
	logger, err := s.Logger("warn")
	if err != nil {
		return err
	}
	r, err := datadir.Dir(s.data).Inspect(logger)
	if err != nil {
		return err
	}
	if s.json {
		return s.Print(r)
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "cluster %s, node %s (%s), epoch %d, generation %s\n\nGROUP\tTERM\tLAST (TERM)\tAPPENDED\tAPPLIED\tCOMMITTED "+
		"UNTIL\tMEMBERS\n", r.Cluster, r.Name, r.Node, r.Epoch, cli.Dash(r.Generation))
	for _, g := range r.Groups {
		if g.Damaged != "" || !g.Here {
			fmt.Fprintf(w, "%d\tno copy here\t%s\n", g.Group, g.Damaged)
			continue
		}
		var members []string
		for _, m := range g.Servers {
			members = append(members, string(m.ID))
		}
		fmt.Fprintf(w, "%d\t%d\t%d (%d)\t%s\t%d\t%s\t%s\n", g.Group, g.Term, g.Last, g.LastTerm, cli.Stamp(g.LastTime), g.Applied,
			cli.Stamp(g.Time), strings.Join(members, " "))
	}
	return w.Flush()
}

func recoverApply(s *recovering, files []string, margin uint32, yes bool) error {
	if s.data == "" {
		return cli.Usagef("needs -data DIR")
	}
	p, pending, err := datadir.Dir(s.data).PendingRecovery()
	if err != nil {
		return err
	}
	if pending && len(files) > 0 {
		return rookery.E("apply recovery", rookery.KindConflict,
			fmt.Errorf("a recovery was begun here and goes on as it was decided: repeat without reports"))
	}
	if !pending {
		if p, err = planFrom(files, margin); err != nil {
			return err
		}
	}
	if s.json {
		err = s.Print(p)
	} else {
		err = printPlan(s.Shell, p)
	}
	if err != nil {
		return err
	}
	if !yes {
		fmt.Fprintf(s.Err, "\nType the cluster's id to go on: ")
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil && err != io.EOF || strings.TrimSpace(line) != p.Cluster {
			return cli.Usagef("not confirmed; nothing was changed")
		}
	}
	logger, err := s.Logger("warn")
	if err != nil {
		return err
	}
	if err := datadir.Dir(s.data).Recover(p, logger, time.Now()); err != nil {
		return err
	}
	if !s.json {
		_, err = fmt.Fprintf(s.Out, "\ndone: %s is of generation %s. Apply it on every survivor with the same reports, then "+
			"start them.\n", s.data, p.Generation)
	}
	return err
}

func planFrom(files []string, margin uint32) (datadir.RecoveryPlan, error) {
	var reports []datadir.Report
	for _, name := range files {
		b, err := cli.ReadInput(name)
		if err != nil {
			return datadir.RecoveryPlan{}, err
		}
		var r datadir.Report
		if err := json.Unmarshal(b, &r); err != nil || r.Node == "" {
			return datadir.RecoveryPlan{}, rookery.E("read report", rookery.KindInvalid,
				fmt.Errorf("%s is no report of rookery recover inspect --json (%v)", name, err))
		}
		reports = append(reports, r)
	}
	if len(reports) == 0 {
		return datadir.RecoveryPlan{}, cli.Usagef("apply needs the reports of all survivors (rookery recover inspect --json)")
	}
	return datadir.PlanRecovery(reports, margin)
}

func printPlan(s *cli.Shell, p datadir.RecoveryPlan) error {
	names := map[rookery.NodeID]string{}
	for _, r := range p.Survivors {
		names[r.Node] = r.Name
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "cluster %s becomes generation %s\n\n", p.Cluster, p.Generation)
	for _, n := range p.Dead {
		fmt.Fprintf(w, "removed for ever: %s (%s, %s)\n", cmp.Or(n.Name, "name not known here"), n.Node,
			cmp.Or(n.Address, "address not known here"))
	}
	fmt.Fprint(w, "\nGROUP\tGOES ON FROM\tLAST ENTRY (TERM)\tAPPENDED\tKNOWN COMMITTED\tWRITTEN AGAIN\n")
	for _, g := range p.Groups {
		fmt.Fprintf(w, "%d\t%s\t%d (%d)\t%s\t%d, %s\t%d entries\n", g.Group, names[g.Seed], g.From.Last, g.From.LastTerm,
			cli.Stamp(g.From.LastTime), g.Keep, cli.Stamp(g.Time), g.From.Last-g.Keep)
	}
	for _, id := range p.Unbegun {
		fmt.Fprintf(w, "%d\thad not begun\t\t\t\t\n", id)
	}
	fmt.Fprintf(w, `
What may be lost: everything the dead nodes acknowledged after these last
entries. How much that is nobody can know: a majority needed no survivor for it.
What lies above the known commit is not dropped, because the dead majority may
have committed it. It is written again behind the jump: its messages get new
UIDs, because the dead may have given the old ones to other messages.

UIDNEXT jumps by %d in every mailbox, MODSEQ by %d in every account, so that no
number clients may have seen is given again. UIDVALIDITY stays.
`, p.Margin, uint64(p.Margin)<<10)
	return w.Flush()
}
