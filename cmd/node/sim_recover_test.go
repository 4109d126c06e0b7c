package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/members"
)

const simMargin = 5000

// machineDisk is what lies on a stopped machine: its disk, and the files beside.
type machineDisk struct {
	mem   *vfs.MemFS
	files map[string]string
}

var recoveryFiles = []string{identityFile, lineageFile, recoveryFile, "recovered-1.json"}

func (c *sim) filesOf(x *simNode) map[string]string {
	c.t.Helper()
	files := map[string]string{}
	tails, err := filepath.Glob(filepath.Join(x.cfg.DataDir, "recovery-tail-*"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, path := range tails {
		b, err := os.ReadFile(path)
		if err == nil {
			files[filepath.Base(path)] = string(b)
		} else if !errors.Is(err, fs.ErrNotExist) {
			c.t.Fatal(err)
		}
	}
	for _, name := range recoveryFiles {
		b, err := os.ReadFile(filepath.Join(x.cfg.DataDir, name))
		if err == nil {
			files[name] = string(b)
		} else if !errors.Is(err, fs.ErrNotExist) {
			c.t.Fatal(err)
		}
	}
	return files
}

func (c *sim) diskOf(x *simNode) machineDisk {
	return machineDisk{x.mem.CrashClone(vfs.CrashCloneCfg{}), c.filesOf(x)}
}

// place makes it what lies on the machine.
func (c *sim) place(x *simNode, d machineDisk) {
	c.t.Helper()
	x.mem = d.mem.CrashClone(vfs.CrashCloneCfg{})
	names := slices.Collect(maps.Keys(c.filesOf(x)))
	for name := range d.files {
		names = append(names, name)
	}
	for _, name := range append(names, recoveryFiles...) {
		path := filepath.Join(x.cfg.DataDir, name)
		b, there := d.files[name]
		err := os.Remove(path)
		if there {
			err = os.WriteFile(path, []byte(b), 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.t.Fatal(err)
		}
	}
}

// applyUntil applies a recovery on a machine and takes its power before a
// change of its disk, or after a step. It reports whether it came to that;
// else the recovery is done.
func (c *sim) applyUntil(x *simNode, p datadir.RecoveryPlan, change int64, step string) (changes int64, steps []string, cut bool) {
	c.t.Helper()
	var left *machineDisk
	var d *disk
	power := func() {
		// The log's own goroutine changes the disk too, and the recovery goes on
		// meanwhile: both are of one moment where the files stayed the same.
		for left == nil {
			files := c.filesOf(x)
			mem := d.left(survivors(c.rng), c.rng)
			if maps.Equal(files, c.filesOf(x)) {
				left = &machineDisk{mem, files}
			}
		}
	}
	d = newDisk(x.mem, change, power)
	d.lies.Store("")
	err := datadir.Dir(x.cfg.DataDir).RecoverOn(d, p, x.deps.Logger, time.Now(), func(done string) {
		steps = append(steps, fmt.Sprintf("%d %s", d.changes.Load(), done))
		if done == step {
			power()
		}
	})
	if err != nil {
		c.t.Fatalf("apply on %s: %v", x.cfg.Name, err)
	}
	changes = d.changes.Load()
	if left != nil {
		c.place(x, *left)
	}
	return changes, steps, left != nil
}

// applyAgain is what the operator does after a crash: a node that is started
// says that it is half recovered, and the recovery is repeated, from its own
// plan where it has one.
func (c *sim) applyAgain(x *simNode, p datadir.RecoveryPlan, when string) {
	c.t.Helper()
	own, pending, err := datadir.Dir(x.cfg.DataDir).PendingRecovery()
	if err != nil {
		c.t.Fatalf("%s: %v", when, err)
	}
	if pending {
		if own.Generation != p.Generation {
			c.t.Fatalf("%s: the plan on the disk is of generation %s", when, own.Generation)
		}
		p = own
		x.deps.FS = newDisk(x.mem, 0, nil)
		n, err := Open(context.Background(), x.cfg, x.deps)
		if n != nil {
			closeTest(n)
		}
		if !rookery.Is(err, rookery.KindConflict) || !strings.Contains(err.Error(), "go on with: rookery recover apply -data "+x.cfg.DataDir) {
			c.t.Fatalf("%s: half recovered it starts, or says %v", when, err)
		}
	}
	if err := datadir.Dir(x.cfg.DataDir).RecoverOn(x.mem, p, x.deps.Logger, time.Now(), func(string) {}); err != nil {
		c.t.Fatalf("%s: again: %v", when, err)
	}
}

// mustBeRecovered judges the disk of a machine after the recovery. It returns
// where the logs end that were rebuilt there, and wants them to end so where it
// is given.
func (c *sim) mustBeRecovered(x *simNode, p datadir.RecoveryPlan, when string,
	want map[rookery.GroupID]rookery.LogIndex) (ends map[rookery.GroupID]rookery.LogIndex) {
	c.t.Helper()
	ends = map[rookery.GroupID]rookery.LogIndex{}
	for name := range c.filesOf(x) {
		if strings.HasPrefix(name, "recovery-tail") {
			c.t.Fatalf("%s: %s is left", when, name)
		}
	}
	if _, pending, err := datadir.Dir(x.cfg.DataDir).PendingRecovery(); pending || err != nil {
		c.t.Fatalf("%s: still pending: %v", when, err)
	}
	r, err := datadir.Dir(x.cfg.DataDir).InspectOn(x.mem, x.deps.Logger)
	if err != nil {
		c.t.Fatalf("%s: %v", when, err)
	}
	if r.Generation != p.Generation {
		c.t.Fatalf("%s: generation %q, planned %q", when, r.Generation, p.Generation)
	}
	for _, s := range p.Groups {
		i := slices.IndexFunc(r.Groups, func(g datadir.ReportedGroup) bool { return g.Group == s.Group })
		if i < 0 {
			c.t.Fatalf("%s: group %d is not there", when, s.Group)
		}
		g := r.Groups[i]
		if s.Seed != r.Node {
			continue
		}
		ends[s.Group] = g.Last
		// The configuration and one jump, or two around the tail, of which what
		// is no command is left out.
		least, most := s.Keep+2, s.Keep+2
		if s.From.Last > s.Keep && s.Group != rookery.SystemGroup {
			most = s.From.Last + 3
		}
		if g.Last < least || g.Last > most || g.LastTerm != s.Term || g.Term != s.Term ||
			!slices.Equal(g.Servers, []consensus.Server{{ID: r.Node, Address: string(r.Node)}}) {
			c.t.Fatalf("%s: group %d ends at %d of %d (term %d) with %v; it was at %d and keeps %d, and its term is to be %d", when,
				s.Group, g.Last, g.LastTerm, g.Term, g.Servers, s.From.Last, s.Keep, s.Term)
		}
	}
	if want != nil && !maps.Equal(ends, want) {
		c.t.Fatalf("%s: the logs end at %v, and at %v without a cut", when, ends, want)
	}
	return ends
}

// highest is the highest UIDNEXT and MODSEQ that clients of a machine may see,
// by account and mailbox.
func (c *sim) highest(x *simNode) map[string]uint64 {
	c.t.Helper()
	high := map[string]uint64{}
	for _, p := range c.ledger.people {
		v, err := x.groups.Machine(c.groupOf(p.number)).View(p.account)
		if err != nil {
			c.t.Fatal(err)
		}
		boxes, err := v.Mailboxes()
		if err != nil {
			c.t.Fatal(err)
		}
		for _, m := range boxes {
			high[fmt.Sprintf("UIDNEXT of %s, %d", m.Name, p.number)] = uint64(m.UIDNext)
		}
		high[fmt.Sprintf("MODSEQ of %d", p.number)] = uint64(v.Account().ModSeq)
		v.Close()
	}
	return high
}

// A recovery whose machine loses power before any change of its disk and after
// any step: started like that the node says what to do, repeated the recovery
// ends as if nothing had happened, and the two survivors are one cluster, in
// which no number that was given out is given again and nothing is lost.
func TestSimRecoveryIsCutOff(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		c.sendFor(4 * time.Second)
		before := c.highest(c.nodes[0])
		c.powerCut(c.nodes...)
		a, b := c.nodes[0], c.nodes[1]
		c.nodes = c.nodes[:2] // the third is lost for ever
		var reports []datadir.Report
		for _, x := range c.nodes {
			r, err := datadir.Dir(x.cfg.DataDir).InspectOn(x.mem, x.deps.Logger)
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, r)
		}
		plan, err := datadir.PlanRecovery(reports, simMargin)
		if err != nil {
			t.Fatal(err)
		}
		seed := a
		if plan.Groups[0].Seed != a.readID(t) {
			seed = b
		}
		for _, x := range []*simNode{a, b} {
			start := c.diskOf(x)
			all, steps, _ := c.applyUntil(x, plan, 0, "")
			t.Logf("%s: %d changes of the disk; %s", x.cfg.Name, all, strings.Join(steps, ", "))
			if len(steps) < 4 || x == seed && len(steps) < 6 {
				t.Fatalf("the test's own premise: %v", steps)
			}
			ends := c.mustBeRecovered(x, plan, "without a cut", nil)
			cuts := map[string]func() bool{}
			var opened int64 // what comes before is a start like any other
			fmt.Sscan(steps[0], &opened)
			for at := opened; at <= all; at++ {
				cuts[fmt.Sprintf("cut off before change %d", at)] = func() bool { _, _, cut := c.applyUntil(x, plan, at, ""); return cut }
			}
			for _, s := range steps {
				_, step, _ := strings.Cut(s, " ")
				cuts["cut off after: "+step] = func() bool { _, _, cut := c.applyUntil(x, plan, 0, step); return cut }
			}
			for _, when := range slices.Sorted(maps.Keys(cuts)) {
				c.place(x, start)
				if !cuts[when]() {
					t.Logf("%s: it was over before", when)
				}
				c.applyAgain(x, plan, when)
				c.mustBeRecovered(x, plan, when, ends)
			}
			// What serves was cut off twice, and was told once more than it needs.
			c.place(x, start)
			for _, step := range []string{"generation written", "plan put aside"} {
				c.applyUntil(x, plan, 0, step)
			}
			c.applyAgain(x, plan, "in the end")
			c.mustBeRecovered(x, plan, "in the end", ends)
		}
		c.onAll(c.nodes)
		c.until(3*time.Minute, "the survivors are one cluster", func() bool {
			for _, g := range append(members.FirstMail(), rookery.SystemGroup) {
				for _, x := range c.nodes {
					if r := x.groups.Group(g); r == nil || len(r.Servers()) != 2 { // one votes, one learns: two votes survive no more
						return false
					}
				}
			}
			return true
		})
		c.sendFor(4 * time.Second)
		c.mustCheck()
		after := c.highest(a)
		for what, was := range before {
			if is := after[what]; is < was+simMargin {
				t.Errorf("%s was %d and is %d", what, was, is)
			}
		}
	})
}

func (x *simNode) readID(t *testing.T) rookery.NodeID {
	t.Helper()
	id, err := datadir.Dir(x.cfg.DataDir).Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id.Node
}
