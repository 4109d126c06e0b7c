package log

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

func twoFloors(o *Options) { o.Floors = map[string]Class{BodiesFloor: Bodies, "archive": Archive} }

func setFloor(t *testing.T, g *Group, name string, index rookery.LogIndex) {
	t.Helper()
	if err := g.SetFloor(name, index); err != nil {
		t.Fatal(err)
	}
}

func floorOf(t *testing.T, l *Log, id rookery.GroupID, name string) FloorStats {
	t.Helper()
	for _, f := range l.Stats().Groups[id].Floors {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no floor %q", name)
	return FloorStats{}
}

// Within the budget both floors hold; above it what only the archive holds goes,
// oldest first and no more than has to, and the gap is said. What the bodies'
// floor holds never goes.
func TestArchiveFloorGivesWayToTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		roomy := func(o *Options) { o.DiskBudget = 100 * testSegment }
		tight := func(o *Options) { o.DiskBudget = 8 * testSegment }
		l := open(t, fs, roomy, twoFloors)
		g := group(t, l, 1)
		fill(t, g, 1, 200, 1, 4000)
		if err := g.DeleteRange(1, 195); err != nil {
			t.Fatal(err)
		}
		setFloor(t, g, BodiesFloor, 150)
		setFloor(t, g, "archive", 20)
		time.Sleep(2 * time.Second)
		wantRange(t, g, 1, 200)
		a, b := floorOf(t, l, 1, "archive"), floorOf(t, l, 1, BodiesFloor)
		if a.HeldBytes < 129*4000 || a.HeldBytes > 131*4200 || b.HeldBytes != 0 || a.To != 0 || b.To != 0 {
			t.Errorf("%+v, %+v: entries 20 to 149 are held by the archive alone", a, b)
		}
		l.Close()
		l = open(t, fs, tight, twoFloors)
		g = group(t, l, 1)
		setFloor(t, g, BodiesFloor, 150)
		time.Sleep(2 * time.Second)
		if s := l.Stats(); s.Freed == 0 || s.Forced == 0 {
			t.Errorf("nothing was forced: %+v", s)
		}
		first, _ := g.FirstIndex()
		if first <= 20 || first > 150 {
			t.Fatalf("the range begins at %d", first)
		}
		wantEntries(t, g, first, 200, 1, 4000)
		setFloor(t, g, "archive", 20)
		if a = floorOf(t, l, 1, "archive"); a.From != 20 || a.To != rookery.LogIndex(first-1) {
			t.Errorf("%+v, and entries 20 to %d are gone", a, first-1)
		}
		if forced := l.Stats().Forced; forced != first-1 {
			t.Errorf("%d entries were forced out by the count, %d are gone: their floor was at 0", forced, first-1)
		}
		fill(t, g, 201, 300, 1, 4000)
		time.Sleep(2 * time.Second)
		if first, _ = g.FirstIndex(); first > 150 || !l.Stats().OverBudget {
			t.Errorf("first is %d: a body that nobody else has may be gone", first)
		}
		wantEntries(t, g, 150, 300, 1, 4000)
		l.Close()
	})
}

func TestFloorsHaveNames(t *testing.T) {
	l := open(t, vfs.NewMem())
	if err := group(t, l, 1).SetFloor("archive", 3); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("a name that the log was not told: %v", err)
	}
	_, err := Open(Options{Dir: "other", FS: vfs.NewMem(), Floors: map[string]Class{"x": 0}})
	if !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("a floor without a class: %v", err)
	}
}

// Random floors, writes, permissions, images and restarts: what a floor of
// bodies holds stays, and what the archive's holds does unless it is counted as
// forced out, which happens above the budget alone.
func TestFloorsAtRandom(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) { floorsRun(t, rand.New(rand.NewPCG(seed, 9)), seed%2 == 0) })
	}
}

type floorModel struct {
	first, last, permit uint64 // first of the range as it was begun
	floor               map[string]uint64
	held                map[string]uint64 // the lowest entry that the floor has held ever since
}

func floorsRun(t *testing.T, rng *rand.Rand, roomy bool) {
	fs := vfs.NewMem()
	budget := func(o *Options) {
		if o.DiskBudget = 6 * testSegment; roomy {
			o.DiskBudget = 1 << 40
		}
	}
	l := open(t, fs, budget, twoFloors)
	models := map[rookery.GroupID]*floorModel{}
	for id := range rookery.GroupID(2) {
		models[id+1] = &floorModel{first: 1, permit: 1, floor: map[string]uint64{}, held: map[string]uint64{}}
	}
	forced := uint64(0)
	for range 150 {
		id := rookery.GroupID(1 + rng.IntN(2))
		m, g := models[id], group(t, l, id)
		switch n := rng.IntN(10); {
		case n < 5:
			fill(t, g, m.last+1, m.last+10, 1, 3000)
			m.last += 10
		case n < 7 && m.last > 0:
			m.permit = max(m.permit, m.last-rng.Uint64N(min(m.last, 20)))
			if err := g.DeleteRange(1, m.permit-1); err != nil {
				t.Fatal(err)
			}
		case n < 9 && m.last > 0:
			name := []string{BodiesFloor, "archive"}[rng.IntN(2)]
			m.floor[name] = max(m.floor[name], m.last-rng.Uint64N(min(m.last, 60)))
			setFloor(t, g, name, rookery.LogIndex(m.floor[name]))
		case n == 9:
			forced += l.Stats().Forced
			l.Close()
			l = open(t, fs, budget, twoFloors)
			for _, m := range models { // nobody has said anything yet
				m.floor = map[string]uint64{}
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for id, m := range models {
			m.check(t, l, id, forced, roomy)
		}
	}
	if forced += l.Stats().Forced; roomy != (forced == 0) {
		t.Errorf("%d entries were forced out; the budget is large: %v", forced, roomy)
	}
	l.Close()
}

func (m *floorModel) check(t *testing.T, l *Log, id rookery.GroupID, forced uint64, roomy bool) {
	t.Helper()
	first, _ := group(t, l, id).FirstIndex()
	last, _ := group(t, l, id).LastIndex()
	if last != m.last {
		t.Fatalf("group %d ends at %d, not %d", id, last, m.last)
	}
	m.held[BodiesFloor] = max(m.held[BodiesFloor], m.floor[BodiesFloor])
	m.held["archive"] = max(m.held["archive"], m.floor["archive"])
	if limit := min(m.permit, max(m.held[BodiesFloor], 1)); first > limit {
		t.Fatalf("group %d begins at %d, %d must stay", id, first, limit)
	}
	if limit := max(m.held["archive"], 1); first > limit && (roomy || forced+l.Stats().Forced == 0) {
		t.Fatalf("group %d begins at %d, the archive had got to %d, and nothing is said to be forced", id, first, limit)
	}
}
