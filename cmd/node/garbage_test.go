package node

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// garbageNode is a node whose packs die fast and whose clock can be moved on.
func garbageNode(t *testing.T, ahead *atomic.Int64) *crowd {
	return openCrowd(t, 6, func(_ *settings.Node, d *Deps) {
		d.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		d.tuning.packSweep, d.tuning.packDead = 50*time.Millisecond, time.Millisecond
	})
}

func (c *crowd) client() *adminapi.Client { return adminapi.New(c.cfg.AdminSocket()) }

func (c *crowd) keys() (keys []string) {
	c.t.Helper()
	if err := c.objects.Store.List(c.t.Context(), "b/", func(i blob.Info) error { keys = append(keys, i.Key); return nil }); err != nil {
		c.t.Fatal(err)
	}
	return keys
}

// moveClock sets a node's clock and waits until its jobs go by it.
func (c *crowd) moveClock(ahead *atomic.Int64, by time.Duration) {
	c.t.Helper()
	ahead.Store(int64(by))
	c.until("jobs go by the clock", func() bool {
		now, err := c.clocks.Now()
		return err == nil && c.deps.Clock().Sub(now) < time.Minute
	})
}

// Operators sweep: what no group knows goes, what one knows stays.
func TestSweepThroughANode(t *testing.T) {
	var ahead atomic.Int64
	c := garbageNode(t, &ahead)
	c.send("Subject: keep\r\n\r\nme", login(0), login(1), login(2), login(3), login(4), login(5))
	c.settle()
	known := len(c.keys())
	for g := rookery.GroupID(2); g < 8; g++ { // 6 and 7 are no groups of this cluster
		if err := c.objects.Store.Put(t.Context(), pack.Key(g, pack.NewID(c.deps.Clock())), bytes.NewReader([]byte("lost")), 4,
			blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	sweep := func(act bool) (last pack.Swept, found int) {
		t.Helper()
		if err := c.client().SweepStorage(t.Context(), adminapi.SweepOrder{Delete: act}, func(e adminapi.SweepEvent) error {
			if e.Orphan != nil {
				found++
			} else {
				last = *e.Progress
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return last, found
	}
	if s, found := sweep(true); found != 0 || s.Young < 4 {
		t.Errorf("%+v: young ones count as orphans", s)
	}
	c.moveClock(&ahead, 25*time.Hour)
	if s, found := sweep(false); found != 4 || s.Orphans != 4 || s.Deleted != 0 || s.Foreign != 2 {
		t.Errorf("%+v", s)
	}
	if s, _ := sweep(true); s.Deleted != 4 {
		t.Errorf("%+v", s)
	}
	if n := len(c.keys()); n > known+2 || n < 3 {
		t.Errorf("%d objects are left, want at most %d", n, known+2)
	}
	if last, err := c.system.Swept(); err != nil || c.deps.Clock().Sub(time.Unix(0, last.Time)) > time.Minute ||
		last.Objects != 4 || last.Bytes != 16 {
		t.Errorf("last swept %+v, %v", last, err)
	}
	if st, err := c.client().Status(t.Context()); err != nil || st.Swept == nil || st.Swept.Objects != 4 {
		t.Errorf("%+v %v", st.Swept, err)
	}
	for i := range 6 {
		if got := c.texts(login(i), "INBOX"); len(got) != 1 || !strings.HasSuffix(got[0], "me") && !strings.HasSuffix(got[0], "me\r\n") {
			t.Errorf("%q", got)
		}
	}
	// Another cluster in the same place keeps everything.
	if err := pack.Claim(t.Context(), c.objects.Store, "another"); err != nil {
		t.Fatal(err)
	}
	if err := c.client().SweepStorage(t.Context(), adminapi.SweepOrder{Delete: true},
		func(adminapi.SweepEvent) error { return nil }); !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("%v", err)
	}
	if st, err := c.client().Status(t.Context()); err != nil ||
		!strings.Contains(strings.Join(st.Problems, "\n"), "also used by cluster another") {
		t.Errorf("%q, %v", st.Problems, err)
	}
}

// The scheduled sweep does it by itself, once it is due.
func TestScheduledSweep(t *testing.T) {
	var ahead atomic.Int64
	c := garbageNode(t, &ahead)
	lost := pack.Key(2, pack.NewID(c.deps.Clock()))
	if err := c.objects.Store.Put(t.Context(), lost, bytes.NewReader([]byte("lost")), 4, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("names expire in every group", func() bool {
		for _, m := range c.machines() {
			if r, err := m.PackRules(); err != nil || r.NameLife == 0 {
				return false
			}
		}
		return true
	})
	c.moveClock(&ahead, 25*time.Hour)
	c.objects.SweepIfDue(t.Context())
	if len(c.keys()) != 0 {
		t.Errorf("%v are left", c.keys())
	}
	if err := c.objects.Store.Put(t.Context(), lost, bytes.NewReader([]byte("lost")), 4, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	c.objects.SweepIfDue(t.Context())
	if len(c.keys()) != 1 {
		t.Error("it was swept again at once")
	}
	c.moveClock(&ahead, 25*time.Hour+168*time.Hour)
	c.objects.SweepIfDue(t.Context())
	if len(c.keys()) != 0 {
		t.Error("it was not swept after a week")
	}
}

func (c *crowd) packsIn(state mailbox.PackState) (n int) {
	c.t.Helper()
	for _, m := range c.machines() {
		packs, err := m.Packs("", 1000)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, p := range packs {
			if p.State == state {
				n++
			}
		}
	}
	return n
}

// A hold keeps what dies after it, in every group, also in one that never got
// it by the order itself; its release lets it go.
func TestHoldThroughANode(t *testing.T) {
	var ahead atomic.Int64
	c := garbageNode(t, &ahead)
	c.send("Subject: keep\r\n\r\nme", login(0), login(1), login(2), login(3), login(4), login(5))
	c.settle()
	a, err := c.client().PlaceHold(t.Context(), adminapi.HoldOrder{Name: "case 7", Reason: "court"})
	if err != nil || len(a.Groups) != 4 || len(a.Pending) != 0 {
		t.Fatalf("%+v %v", a, err)
	}
	if _, err := c.client().PlaceHold(t.Context(),
		adminapi.HoldOrder{Name: "case 7", Reason: "court", To: time.Now().Add(time.Hour)}); !rookery.Is(err, rookery.KindExists) {
		t.Errorf("%v", err)
	}
	// One group loses it, as one that was added later lacks it.
	if err := c.groups.Commit(t.Context(), 3, &command.Release{Kind: command.HoldOperator, Name: "case 7"}); err != nil {
		t.Fatal(err)
	}
	l, err := c.client().Holds(t.Context())
	if err != nil || len(l.Holds) != 1 || len(l.Holds[0].Groups) != 3 || len(l.Holds[0].Missing) != 1 || l.Holds[0].Missing[0] != 3 {
		t.Errorf("%+v %v", l, err)
	}
	objects := len(c.keys())
	for i := range 6 {
		c.purgeFirst(t.Context(), c.account(login(i)))
	}
	c.until("every pack is dead", func() bool { return c.packsIn(mailbox.PackDead) == objects && c.packsIn(mailbox.PackLive) == 0 })
	for _, id := range c.groups.Here() {
		packs, err := c.groups.Machine(id).Packs("", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packs {
			if ok, err := c.objects.Deletable(id, p); ok || err != nil {
				t.Errorf("group %d would let pack %s go: %v", id, p.ID, err)
			}
		}
	}
	if err := c.objects.SpreadHolds(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if l, err := c.client().Holds(t.Context()); err != nil || len(l.Holds[0].Missing) != 0 {
		t.Errorf("%+v %v", l, err)
	}
	if n := len(c.keys()); n != objects {
		t.Errorf("%d objects of %d are left under the hold", n, objects)
	}
	if _, err := c.client().ReleaseHold(t.Context(), "case 8"); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("%v", err)
	}
	if a, err := c.client().ReleaseHold(t.Context(), "case 7"); err != nil || len(a.Groups) != 4 {
		t.Errorf("%+v %v", a, err)
	}
	c.until("every object is gone", func() bool { return len(c.keys()) == 0 })
	if l, err := c.client().Holds(t.Context()); err != nil || len(l.Holds) != 0 {
		t.Errorf("%+v %v", l, err)
	}
}
