package pack_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// bubble is synctest.Test for a rig. Codecs kept for later belong to the bubble
// that made them: a collection empties the pools they wait in, a second one
// what those kept back.
func bubble(t *testing.T, run func(*testing.T)) {
	t.Helper()
	synctest.Test(t, run)
	runtime.GC()
	runtime.GC()
}

// What happens at a step of the packer's work.
var crashModes = []string{
	"die before", "die after", // the process ends
	"torn",                // it ends in the middle of an upload, which the store takes for a whole one
	"fail", "answer lost", // an error, once: the step was not done, or it was
	"rival",           // it stalls while another leader does all the work, and goes on
	"rival and sweep", // likewise, and a day passes and orphans are deleted before it goes on
}

// steps numbers what a packer asks of the outside: the store, the group, the
// log. At one of them it does what its mode says.
type steps struct {
	mu     sync.Mutex
	phase  string
	counts map[string]int
	seen   []string

	label, mode string
	hit         bool
	die         func()
	over        context.Context // of the packer
	stalled     chan struct{}
	resume      chan struct{}
}

func newSteps(label, mode string) *steps {
	return &steps{counts: map[string]int{}, label: label, mode: mode, stalled: make(chan struct{}), resume: make(chan struct{})}
}

// at is called at each step; it reports whether this is the one.
func (s *steps) at(kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.phase + " " + kind
	s.counts[k]++
	label := fmt.Sprintf("%s %d", k, s.counts[k])
	s.seen = append(s.seen, label)
	if label != s.label || s.hit {
		return false
	}
	s.hit = true
	return true
}

func (s *steps) do(kind string, do func() error) error {
	if !s.at(kind) {
		return do()
	}
	switch s.mode {
	case "die before", "torn":
		s.die()
		return errFault
	case "die after":
		do()
		s.die()
		return errFault
	case "answer lost":
		do()
		return errFault
	case "rival", "rival and sweep":
		close(s.stalled)
		select {
		case <-s.resume:
			return do()
		case <-s.over.Done():
			return errFault // it stalled as it was stopped
		}
	}
	return errFault
}

// stepStore is the store as the packer sees it.
type stepStore struct {
	blob.Store
	*steps
}

func (s stepStore) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	return s.do("put", func() error { return s.Store.Put(ctx, key, r, size, o) })
}

// tornStore keeps half of an object for whole.
type tornStore struct{ stepStore }

func (s tornStore) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	if !s.at("put") {
		return s.Store.Put(ctx, key, r, size, o)
	}
	half := make([]byte, size/2)
	if _, err := io.ReadFull(r, half); err != nil {
		return err
	}
	s.Store.Put(ctx, key, bytes.NewReader(half), int64(len(half)), o)
	s.die()
	return errFault
}

func (s stepStore) Get(ctx context.Context, key string, off, n int64) (r io.ReadCloser, err error) {
	err = s.do("get", func() (err error) { r, err = s.Store.Get(ctx, key, off, n); return err })
	if err != nil && r != nil {
		r.Close()
		r = nil
	}
	return r, err
}

func (s stepStore) Delete(ctx context.Context, keys ...string) error {
	return s.do("delete", func() error { return s.Store.Delete(ctx, keys...) })
}

// crashRig is a rig whose packer does one thing wrong.
type crashRig struct {
	*rig
	*steps
	plain pack.Options // of a rival, which does nothing wrong
}

func newCrashRig(t *testing.T, label, mode string) *crashRig {
	c := &crashRig{newRig(t, accounttest.Options{}), newSteps(label, mode), pack.Options{}}
	c.rewrites(pack.Repack{Below: 60, After: 24 * time.Hour})
	c.opts.MaxAge, c.opts.SweepEvery = 5*time.Millisecond, 10*time.Millisecond
	c.opts.Packed = func() { c.dropLog() } // the log lets go as soon as it may
	c.plain = c.opts
	c.opts.Packed = func() { c.do("release", func() error { c.dropLog(); return nil }) }
	c.opts.Log = func(ctx context.Context, g rookery.GroupID, i rookery.LogIndex, term uint64, p []byte, off int64) error {
		return c.do("log", func() error { return c.node.ReadLog(ctx, g, i, term, p, off) })
	}
	c.opts.Propose = func(ctx context.Context, g rookery.GroupID, x command.Command) error {
		return c.do(fmt.Sprintf("%T", x), func() error { return c.node.Propose(ctx, g, x) })
	}
	c.opts.Store = stepStore{c.blobs.Store, c.steps}
	if mode == "torn" {
		c.opts.Store = tornStore{stepStore{c.blobs.Store, c.steps}}
	}
	return c
}

// run runs packers until something is so, and what the mode wants in between.
func (c *crashRig) run(phase string, done func() bool) {
	c.t.Helper()
	c.mu.Lock()
	c.phase = phase
	c.mu.Unlock()
	for !done() {
		ctx, die := context.WithCancel(c.t.Context())
		c.die, c.over = die, ctx
		p := pack.NewPacker(c.opts)
		c.packer.Store(p)
		ended := make(chan struct{})
		go func() { defer close(ended); p.Run(ctx) }()
		stalled := func() {
			select {
			case <-c.stalled:
				c.stalled = make(chan struct{})
				c.rival(done)
			default:
			}
		}
		c.until(phase+" is done or the packer dies", func() bool {
			stalled()
			return ctx.Err() != nil || done()
		})
		time.Sleep(time.Second / 2) // what stalled or failed goes on
		stalled()
		time.Sleep(time.Second / 2)
		die()
		<-ended
		c.dropLog()
		c.check() // whatever happened
	}
}

// rival is the new leader's packer, while the old one's stalls.
func (c *crashRig) rival(done func() bool) {
	c.t.Helper()
	ctx, stop := context.WithCancel(c.t.Context())
	p := pack.NewPacker(c.plain)
	ended := make(chan struct{})
	go func() { defer close(ended); p.Run(ctx) }()
	c.until("the rival has done the work", done)
	stop()
	<-ended
	if c.mode == "rival and sweep" {
		c.ahead.Add(int64(30 * time.Hour))
		if _, err := c.sweep(true, nil); err != nil {
			c.t.Fatal(err)
		}
	}
	c.check()
	close(c.resume)
}

// quiet is that nothing is left to do but to forget names.
func (c *crashRig) quiet() bool {
	for _, k := range c.packs() {
		switch {
		case k.State == mailbox.PackDead, k.State == mailbox.PackLive && k.LiveBodies == 0,
			k.State == mailbox.PackLive && k.Live*100 < k.Total*60:
			return false
		}
	}
	return c.unpacked() == 0
}

// story is the whole life of bodies and packs, with one step gone wrong.
func (c *crashRig) story() {
	c.t.Helper()
	c.deliver(4000, 5000, 6000, 7000, 90_000)
	c.run("pack", func() bool { return c.unpacked() == 0 })
	c.deliver(3000, 50_000)
	c.run("pack more", func() bool { return c.unpacked() == 0 })
	c.purge(1, 2, 3, 5) // one pack is worn, one dead
	c.ahead.Add(int64(25 * time.Hour))
	c.run("clear", c.quiet)
	c.ahead.Add(int64(25 * time.Hour))
	all := func() bool {
		return c.quiet() && !slices.ContainsFunc(c.packs(), func(k mailbox.Pack) bool { return k.State != mailbox.PackLive })
	}
	c.run("forget", all)
	if _, err := c.sweep(true, nil); err != nil {
		c.t.Fatal(err)
	}
	c.run("after the sweep", all)
	c.judge()
}

// judge compares the store with the state: no body lost or doubled, no object
// left.
func (c *crashRig) judge() {
	c.t.Helper()
	c.check()
	want := map[string]bool{}
	total := uint32(0)
	for _, k := range c.packs() {
		want[pack.Key(group, k.ID)] = true
		total += k.LiveBodies
	}
	for _, key := range c.keys() {
		if !want[key] {
			c.t.Errorf("%s is left, and no group knows it", key)
		}
		delete(want, key)
	}
	for key := range want {
		c.t.Errorf("%s is missing", key)
	}
	bodies, err := c.node.Machine(group).Bodies(0, 100)
	if err != nil || len(bodies) != len(c.sent) || int(total) != len(bodies) {
		c.t.Errorf("%d messages, %d bodies, %d of them in packs, %v", len(c.sent), len(bodies), total, err)
	}
	c.objects() // each is sound
}

// TestEveryStepOfTheLifeOfPacks runs the whole life of packs again and again,
// and each time does one thing wrong at one step: at every step, every thing.
// No mail may be lost or doubled at any time, and no object may be left after
// the sweep.
func TestEveryStepOfTheLifeOfPacks(t *testing.T) {
	var labels []string
	bubble(t, func(t *testing.T) {
		c := newCrashRig(t, "none", "")
		c.story()
		labels = slices.Compact(slices.Sorted(slices.Values(c.seen)))
	})
	kinds := map[string]bool{}
	runs, missed := 0, []string{}
	for _, label := range labels {
		for _, mode := range crashModes {
			if mode == "torn" && !bytes.Contains([]byte(label), []byte(" put ")) {
				continue
			}
			runs++
			t.Run(label+": "+mode, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCrashRig(t, label, mode)
					c.story()
					if !c.hit {
						missed = append(missed, label+": "+mode)
					}
				})
			})
			kinds[mode] = true
		}
	}
	t.Logf("%d steps, %d runs; not reached: %v", len(labels), runs, missed)
	if len(labels) < 30 || len(kinds) != len(crashModes) || len(missed) > runs/10 {
		t.Error("the steps were not all tried")
	}
}
