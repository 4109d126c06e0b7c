package state

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rookery"
	"rookery/test/faultdisk"
)

// history is what a store is given in these tests, and what it shows then.
type history struct {
	entries []rookery.Entry
	states  []string // by applied index
	image   []byte   // of index restoreAt
}

const restoreAt = 40

func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{entries: randomEntries(rand.New(rand.NewPCG(3, 1)), 1, 80), states: []string{""}}
	s, g, _ := openLedger(t, faultdisk.New(), 4)
	defer closeStore(t, s)
	for i := range h.entries {
		g.Apply(h.entries[i : i+1])
		h.states = append(h.states, dumpGroup(t, g))
		if i+1 == restoreAt {
			h.image = imageOf(t, g)
		}
	}
	return h
}

// process is one life of a store, which ends as a process does: at once.
type process struct {
	applied, synced atomic.Int64 // given to it, and known to be on the disk
	store           atomic.Pointer[Store]
	ended           chan error
}

// run gives the store the first part of the history: entries, a whole image in
// place of some, flushes, compactions, syncs.
func (p *process) run(disk *faultdisk.Disk, h *history, upTo int) error {
	s, err := Open("state", disk, Options{Logger: quiet(), MemTableBytes: 256 << 10, CacheBytes: 1 << 20, tableAgain: time.Millisecond,
		OnFailure: func(err error) {
			p.ended <- err
			select {} // as good as ended: nothing it does gets anywhere any more
		}})
	if err != nil {
		return err
	}
	p.store.Store(s)
	g, err := s.Group(4, func(*Group) Machine { return &ledger{} })
	if err != nil {
		return err
	}
	at, _ := g.Applied()
	for i := int(at); i < upTo; i++ {
		switch i {
		case 10, 50:
			if err := s.db.Flush(); err != nil {
				return err
			}
		case 20:
			p.applied.Store(restoreAt) // perhaps
			if err := g.Restore(bytes.NewReader(h.image)); err != nil {
				return err
			}
			i = restoreAt
			p.synced.Store(restoreAt)
		case 60:
			if err := s.db.Compact(context.Background(), []byte{0}, []byte{255}, false); err != nil {
				return err
			}
		}
		p.applied.Store(int64(i + 1))
		g.Apply(h.entries[i : i+1])
		if i%7 == 0 {
			if err := g.Sync(); err != nil {
				return err
			}
			p.synced.Store(int64(i + 1))
		}
	}
	return s.Close()
}

// fullAt has a disk full at the n-th fsync and after it. The store goes on when
// there is room, or says why it cannot and a new start does; what was synced is
// there each time, also when the power goes after that.
func fullAt(t *testing.T, h *history, n int) (reached, waited bool) {
	t.Helper()
	upTo := len(h.entries) - 10
	disk := faultdisk.New()
	disk.Fail(n, syscall.ENOSPC)
	p := &process{ended: make(chan error, 9)}
	returned := make(chan error, 1)
	go func() { returned <- p.run(disk, h, upTo) }()
	var err error
	for over := false; !over; {
		select {
		case err = <-p.ended:
			if !rookery.Is(err, rookery.KindUnavailable) {
				t.Fatalf("fsync %d: %v: kind %v", n, err, rookery.KindOf(err))
			}
			over = true
		case err = <-returned:
			over = true
		case <-time.After(time.Millisecond):
			if s := p.store.Load(); s != nil && s.Full() {
				waited = true
				disk.Fail(0, nil)
			}
		}
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fsync %d: it does not say that the disk is full: %v", n, err)
	}
	next := disk.Restart()
	next.Fail(0, nil)
	show := func(what string, disk *faultdisk.Disk, least, most int, more int) int {
		t.Helper()
		s, g, _ := openLedger(t, disk, 4)
		index, _ := g.Applied()
		if int(index) < least || int(index) > most || dumpGroup(t, g) != h.states[index] {
			t.Fatalf("fsync %d: %s it is at %d, known are %d to %d, or it does not show what it says", n, what, index, least, most)
		}
		g.Apply(h.entries[index : int(index)+more])
		if err := g.Sync(); err != nil {
			t.Fatal(err)
		}
		cut := disk.PowerCut()
		closeStore(t, s)
		s, g, _ = openLedger(t, cut, 4)
		defer closeStore(t, s)
		if again, _ := g.Applied(); int(again) != int(index)+more || dumpGroup(t, g) != h.states[again] {
			t.Fatalf("fsync %d: %s and after a power cut it is at %d, it was at %d", n, what, again, int(index)+more)
		}
		return int(index)
	}
	// The power may also go at once.
	show("started again", next, int(p.synced.Load()), int(p.applied.Load()), 5)
	return err != nil || waited, waited
}

// A disk that is full at any fsync.
func TestFullAtEveryFsync(t *testing.T) {
	h := newHistory(t)
	ended, waits := 0, 0
	for n := 1; ; n++ {
		reached, waited := fullAt(t, h, n)
		if !reached {
			break
		}
		if waited {
			waits++
		} else {
			ended++
		}
	}
	if ended < 20 || waits < 2 {
		t.Errorf("it ended %d times and waited %d times: the test proves little", ended, waits)
	}
	t.Logf("it ended %d times and waited %d times", ended, waits)
}
