package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"rookery"
	"rookery/cmd/node"
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

Exit codes: 2 reports that do not fit, 4 nothing to recover, a group without a
copy, or disks that changed since the report, 6 a damaged disk.

Example: rookery recover apply -data /var/lib/rookery mail1.json mail2.json`

func recoverVerb() verb {
	v := verb{name: "recover", args: "inspect -data DIR [--json] | apply -data DIR [-margin N] [-yes] [--json] REPORT...",
		short: "go on after the majority is lost for ever", long: recoverLong}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		data := f.String("data", "", "data directory of the stopped node")
		margin := f.Uint("margin", 1_000_000, "how far UIDNEXT jumps in every mailbox: more than the dead nodes can have given since the survivors last heard of them")
		yes := f.Bool("yes", false, "do not ask")
		asJSON := f.Bool("json", false, "print JSON")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		if len(rest) == 0 || *data == "" || *margin < 1000 || *margin > 100_000_000 {
			return usagef("needs inspect or apply, -data DIR, and a -margin of 1000 to 100000000")
		}
		switch rest[0] {
		case "inspect":
			if len(rest) > 1 {
				return usagef("inspect takes only flags")
			}
			return recoverInspect(s, *data, *asJSON)
		case "apply":
			return recoverApply(s, f, *data, rest[1:], uint32(*margin), *yes, *asJSON)
		}
		return usagef("%q is neither inspect nor apply", rest[0])
	}
	return v
}

func recoverInspect(s *shell, dir string, asJSON bool) error {
	logger, err := newLogger(s, "warn")
	if err != nil {
		return err
	}
	r, err := node.InspectRecovery(dir, logger)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(s, r)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "cluster %s, node %s (%s), epoch %d, generation %s\n\nGROUP\tTERM\tLAST (TERM)\tAPPENDED\tAPPLIED\tCOMMITTED UNTIL\tMEMBERS\n", r.Cluster, r.Name, r.Node, r.Epoch, dash(r.Generation))
	for _, g := range r.Groups {
		if g.Damaged != "" || !g.Here {
			fmt.Fprintf(w, "%d\tno copy here\t%s\n", g.Group, g.Damaged)
			continue
		}
		var members []string
		for _, m := range g.Servers {
			members = append(members, string(m.ID))
		}
		fmt.Fprintf(w, "%d\t%d\t%d (%d)\t%s\t%d\t%s\t%s\n", g.Group, g.Term, g.Last, g.LastTerm, stamp(g.LastTime), g.Applied, stamp(g.Time), strings.Join(members, " "))
	}
	return w.Flush()
}

func stamp(t time.Time) string {
	if t.IsZero() || t.Unix() <= 0 {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func printJSON(s *shell, v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func recoverApply(s *shell, f *flag.FlagSet, dir string, files []string, margin uint32, yes, asJSON bool) error {
	p, pending, err := node.PendingRecovery(dir)
	if err != nil {
		return err
	}
	if pending && len(files) > 0 {
		return rookery.E("apply recovery", rookery.KindConflict, fmt.Errorf("a recovery was begun here and goes on as it was decided: repeat without reports"))
	}
	if !pending {
		if p, err = planFrom(files, margin); err != nil {
			return err
		}
	}
	if asJSON {
		err = printJSON(s, p)
	} else {
		err = printPlan(s, p)
	}
	if err != nil {
		return err
	}
	if !yes {
		fmt.Fprintf(s.err, "\nType the cluster's id to go on: ")
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil && err != io.EOF || strings.TrimSpace(line) != p.Cluster {
			return usagef("not confirmed; nothing was changed")
		}
	}
	logger, err := newLogger(s, "warn")
	if err != nil {
		return err
	}
	if err := node.ApplyRecovery(dir, p, logger, time.Now()); err != nil {
		return err
	}
	if !asJSON {
		_, err = fmt.Fprintf(s.out, "\ndone: %s is of generation %s. Apply it on every survivor with the same reports, then start them.\n", dir, p.Generation)
	}
	return err
}

func planFrom(files []string, margin uint32) (node.RecoveryPlan, error) {
	var reports []node.Report
	for _, name := range files {
		b, err := readInput(name)
		if err != nil {
			return node.RecoveryPlan{}, err
		}
		var r node.Report
		if err := json.Unmarshal(b, &r); err != nil || r.Node == "" {
			return node.RecoveryPlan{}, rookery.E("read report", rookery.KindInvalid, fmt.Errorf("%s is no report of rookery recover inspect --json (%v)", name, err))
		}
		reports = append(reports, r)
	}
	if len(reports) == 0 {
		return node.RecoveryPlan{}, usagef("apply needs the reports of all survivors (rookery recover inspect --json)")
	}
	return node.PlanRecovery(reports, margin)
}

func printPlan(s *shell, p node.RecoveryPlan) error {
	names := map[rookery.NodeID]string{}
	for _, r := range p.Survivors {
		names[r.Node] = r.Name
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "cluster %s becomes generation %s\n\n", p.Cluster, p.Generation)
	for _, n := range p.Dead {
		fmt.Fprintf(w, "removed for ever: %s (%s, %s)\n", cmp.Or(n.Name, "name not known here"), n.Node, cmp.Or(n.Address, "address not known here"))
	}
	fmt.Fprint(w, "\nGROUP\tGOES ON FROM\tLAST ENTRY (TERM)\tAPPENDED\tKNOWN COMMITTED\tTAIL KEPT\n")
	for _, g := range p.Groups {
		fmt.Fprintf(w, "%d\t%s\t%d (%d)\t%s\t%d, %s\t%d entries\n", g.Group, names[g.Seed], g.From.Last, g.From.LastTerm, stamp(g.From.LastTime), g.From.Applied, stamp(g.Time), g.From.Last-g.From.Applied)
	}
	for _, id := range p.Unbegun {
		fmt.Fprintf(w, "%d\thad not begun\t\t\t\t\n", id)
	}
	fmt.Fprintf(w, `
What may be lost: everything the dead nodes acknowledged after these last
entries. How much that is nobody can know: a majority needed no survivor for it.
The tail above the known commit is kept whole, because the dead majority may
have committed it.

UIDNEXT jumps by %d in every mailbox, MODSEQ by %d in every account, so that no
number clients may have seen is given again. UIDVALIDITY stays.
`, p.Margin, uint64(p.Margin)<<10)
	return w.Flush()
}
