package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// logOf makes a log of entries first to last, all of term 2.
func logOf(t *testing.T, first, last uint64) *raft.InmemStore {
	t.Helper()
	s := raft.NewInmemStore()
	for i := first; i <= last && last > 0; i++ {
		if err := s.StoreLog(&raft.Log{Index: i, Term: 2, Type: raft.LogCommand, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetUint64([]byte("CurrentTerm"), 2); err != nil {
		t.Fatal(err)
	}
	return s
}

func at(index rookery.LogIndex, term uint64) *journal {
	m := newJournal()
	m.now.Index, m.now.Term = index, term
	return m
}

func TestStartChecksLogAgainstState(t *testing.T) {
	lost := raft.NewInmemStore()
	hole := logOf(t, 1, 3)
	for i := uint64(11); i <= 14; i++ {
		if err := hole.StoreLog(&raft.Log{Index: i, Term: 2}); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		name    string
		log     *raft.InmemStore
		machine *journal
		kind    rookery.Kind // KindUnknown: it starts
		last    uint64       // of the log, afterwards
	}{
		{"fresh", logOf(t, 1, 0), at(0, 0), 0, 0},
		{"log runs on", logOf(t, 1, 20), at(10, 2), 0, 20},
		{"log truncated behind the state", logOf(t, 5, 20), at(10, 2), 0, 20},
		{"log ends with the state", logOf(t, 5, 10), at(10, 2), 0, 10},
		{"image overtook the log", logOf(t, 1, 5), at(10, 2), 0, 0},
		{"image contradicts the log", logOf(t, 1, 20), at(10, 1), 0, 0},
		{"image left a hole", hole, at(10, 2), 0, 14},
		{"state is older than the log", logOf(t, 12, 20), at(10, 2), rookery.KindDamaged, 20},
		{"state is gone", logOf(t, 12, 20), at(0, 0), rookery.KindDamaged, 20},
		{"log is gone", lost, at(10, 2), rookery.KindDamaged, 0},
	}
	for _, c := range cases {
		n := &Node{}
		err := n.reconcile(t.Context(), testGroup, c.log, c.machine)
		if err != nil && rookery.KindOf(err) != c.kind || err == nil && c.kind != 0 {
			t.Errorf("%s: %v, want kind %v", c.name, err, c.kind)
		}
		if last, _ := c.log.LastIndex(); last != c.last {
			t.Errorf("%s: the log ends at %d, want %d", c.name, last, c.last)
		}
	}
}

func TestStartRecoversAnOldState(t *testing.T) {
	ahead := at(15, 2)
	fetch := func(_ context.Context, _ rookery.GroupID, atLeast rookery.LogIndex) (io.ReadCloser, error) {
		if atLeast != 11 {
			t.Errorf("asked for an image at %d, want 11", atLeast)
		}
		image, err := ahead.Snapshot()
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if _, err := image.WriteTo(&b); err != nil {
			return nil, err
		}
		return io.NopCloser(&b), nil
	}
	n := &Node{}
	n.opts.Logger = quiet()
	n.opts.Recover = fetch
	m := at(3, 1)
	if err := n.reconcile(t.Context(), testGroup, logOf(t, 12, 20), m); err != nil {
		t.Fatal(err)
	}
	if index, _ := m.Applied(); index != 15 {
		t.Errorf("the state is at %d, want 15", index)
	}
	ahead.now.Index = 7
	if err := n.reconcile(t.Context(), testGroup, logOf(t, 12, 20), at(3, 1)); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("an image that is too old: %v", err)
	}
	n.opts.Recover = func(context.Context, rookery.GroupID, rookery.LogIndex) (io.ReadCloser, error) {
		return nil, rookery.E("fetch", rookery.KindUnavailable, errors.New("nobody answers"))
	}
	if err := n.reconcile(t.Context(), testGroup, logOf(t, 12, 20), at(3, 1)); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("no image: %v", err)
	}
}

// The applied index must pass entries no machine sees before the log is
// truncated behind them.
func TestSnapshotPassesEntriesWithoutCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		n := c.nodes[0]
		c.apply("c0=v0")
		if err := n.group.raft.Barrier(time.Second).Error(); err != nil {
			t.Fatal(err)
		}
		if err := n.group.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		index, _ := n.machine.Applied()
		if last, _ := n.log.LastIndex(); uint64(index) != last {
			t.Errorf("the state is at %d, the log was released up to %d", index, last)
		}
		if n.machine.synced.Index != index {
			t.Errorf("the state is durable up to %d, the log was released up to %d", n.machine.synced.Index, index)
		}
		c.crash(n)
		c.start(n, nil)
		c.apply("c1=v1")
		c.close()
	})
}

func TestLogIsReleasedByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, func(o *Options) {
			o.SnapshotBytes, o.TrailingBytes = 4<<20, 1<<20
		})
		big := make([]byte, 64<<10)
		for i := range 400 {
			c.apply(fmt.Sprintf("c%d=%s", i, big))
		}
		time.Sleep(time.Second)
		first, _ := c.nodes[0].log.FirstIndex()
		last, _ := c.nodes[0].log.LastIndex()
		if kept := last - first + 1; kept > minTrailing+64+20 {
			t.Errorf("%d entries of 64 KiB are kept, from %d to %d", kept, first, last)
		}
		c.close()
	})
}

// A group that takes no more entries still lets go of its log when the disk is
// short, and keeps what followers may need otherwise.
func TestSqueeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		for i := range 300 {
			c.apply(fmt.Sprintf("c%d=v", i))
		}
		kept := func() uint64 {
			time.Sleep(time.Second)
			first, _ := c.nodes[0].log.FirstIndex()
			last, _ := c.nodes[0].log.LastIndex()
			return last - first + 1
		}
		if n := kept(); n < 300 {
			t.Errorf("%d entries are kept before", n)
		}
		for range 2 { // the second finds nothing new
			c.nodes[0].group.Squeeze(true)
			if n := kept(); n > minTrailing+2 {
				t.Errorf("%d entries are kept on a short disk", n)
			}
		}
		c.nodes[0].group.Squeeze(false)
		for i := range 300 {
			c.apply(fmt.Sprintf("d%d=v", i))
		}
		if n := kept(); n < 300 {
			t.Errorf("%d entries are kept with room again", n)
		}
		c.close()
	})
}

func TestCloseUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		lead := c.leader()
		changes := lead.group.LeaderChanges()
		known := make(chan string, 1000)
		done := make(chan struct{})
		for w := range 8 {
			go func() {
				defer func() { done <- struct{}{} }()
				for i := range 100 {
					value := fmt.Sprintf("w%d-%d", w, i)
					ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
					_, _, err := lead.group.Apply(ctx, []byte(value+"="+value))
					cancel()
					if err == nil {
						known <- value
					}
					time.Sleep(time.Millisecond)
				}
			}()
		}
		time.Sleep(20 * time.Millisecond)
		start := time.Now()
		c.stop(lead)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("closing took %v", took)
		}
		for range 8 {
			<-done
		}
		close(known)
		var acknowledged []string
		for v := range known {
			acknowledged = append(acknowledged, v)
		}
		if len(acknowledged) == 0 {
			t.Error("nothing was acknowledged before the close: the test is void")
		}
		if _, _, err := lead.group.Apply(context.Background(), []byte("x=y")); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("apply on a closed group: %v", err)
		}
		if _, err := lead.group.ReadIndex(context.Background()); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("read index on a closed group: %v", err)
		}
		for range changes { // ends when the channel was closed
		}
		var rest []*testNode
		for _, n := range c.nodes {
			if n != lead {
				rest = append(rest, n)
			}
		}
		c.nodes = rest
		c.converge(c.apply("last=last"))
		for _, n := range c.nodes {
			have := map[string]bool{}
			for _, v := range n.machine.values() {
				if have[v] {
					t.Errorf("%s has %s twice", n.name, v)
				}
				have[v] = true
			}
			for _, v := range acknowledged {
				if !have[v] {
					t.Errorf("%s lacks %s, which was acknowledged", n.name, v)
				}
			}
		}
		c.close()
	})
}

func TestTailCountsBytes(t *testing.T) {
	var tail tail
	if n := tail.entriesWithin(100); n != MaxTrailing {
		t.Errorf("nothing known: %d", n)
	}
	entries := make([]rookery.Entry, 500)
	for i := range entries {
		entries[i].Data = make([]byte, 10)
	}
	tail.add(entries)
	for limit, want := range map[int64]uint64{1: minTrailing, 1000: 100, 4999: 499, 5000: MaxTrailing} {
		if n := tail.entriesWithin(limit); n != want {
			t.Errorf("within %d bytes: %d entries, want %d", limit, n, want)
		}
	}
}

func TestBacklogBrakesAndLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backlog{LogStore: raft.NewInmemStore(), limit: 100}
		entry := func(i uint64) *raft.Log { return &raft.Log{Index: i, Term: 1, Data: make([]byte, 60)} }
		start := time.Now()
		for i := range uint64(2) {
			if err := b.StoreLog(entry(i + 1)); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(start) != 0 {
			t.Error("it braked below the limit")
		}
		if err := b.StoreLog(entry(3)); err != nil || time.Since(start) != backlogPause {
			t.Errorf("above the limit it took %v (%v), want %v", time.Since(start), err, backlogPause)
		}
		start = time.Now()
		go func() {
			time.Sleep(time.Millisecond)
			b.applied(120)
		}()
		if err := b.StoreLog(entry(4)); err != nil || time.Since(start) != time.Millisecond {
			t.Errorf("after the machine caught up it took %v (%v)", time.Since(start), err)
		}
		if err := b.DeleteRange(2, 4); err != nil || b.bytes != 0 {
			t.Errorf("after a truncation %d bytes count (%v)", b.bytes, err)
		}
	})
}

// TestStartOfOneGroupHoldsUpNoOther: while a group's image is on its way, for
// as long as that takes, the other groups serve, and the node can be closed.
func TestStartOfOneGroupHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const late, next rookery.GroupID = testGroup + 1, testGroup + 2
		old := logOf(t, 12, 20)
		c := newCluster(t, 1, func(o *Options) {
			ours := o.Log
			o.Log = func(id rookery.GroupID) (LogStore, error) {
				switch id {
				case testGroup:
					return ours(id)
				case late:
					return old, nil
				}
				return raft.NewInmemStore(), nil
			}
			o.Recover = func(ctx context.Context, _ rookery.GroupID, _ rookery.LogIndex) (io.ReadCloser, error) {
				<-ctx.Done()
				return nil, rookery.E("fetch", rookery.KindUnavailable, ctx.Err())
			}
		})
		c.leader()
		n := c.nodes[0].node
		started := make(chan error, 2)
		start := func() {
			go func() { _, err := n.Start(t.Context(), late, at(3, 1), nil); started <- err }()
			synctest.Wait()
		}
		start()
		if !n.mu.TryLock() {
			t.Fatal("the node's lock is held while an image is awaited")
		}
		n.mu.Unlock()
		c.apply("k=v")
		if g := n.Group(late); g != nil {
			t.Error("a group that is being started is there")
		}
		if _, err := n.Start(t.Context(), late, at(3, 1), nil); !rookery.Is(err, rookery.KindExists) {
			t.Errorf("a second start: %v", err)
		}
		if _, err := n.Start(t.Context(), next, newJournal(), nil); err != nil {
			t.Errorf("the start of another group: %v", err)
		}
		if err := errors.Join(n.Stop(t.Context(), next), n.Stop(t.Context(), late)); err != nil {
			t.Error(err)
		}
		if err := <-started; !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("a start that was stopped: %v", err)
		}
		start()
		c.close()
		if err := <-started; !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("a start on a node that was closed: %v", err)
		}
	})
}
