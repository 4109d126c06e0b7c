package pack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/account/accounttest"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/uidset"
)

var errFault = rookery.E("test", rookery.KindUnavailable, errors.New("the store is away"))

// faulty is an object store with a fault injected at will: each hook sees the
// real operation as do and may leave it out, garble it or lose its answer.
type faulty struct {
	blob.Store
	mu   sync.Mutex
	put  func(do func() error) error
	get  func(do func() (io.ReadCloser, error)) (io.ReadCloser, error)
	puts atomic.Int32
}

func (f *faulty) set(fn func(f *faulty)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(f)
}

func (f *faulty) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	f.puts.Add(1)
	f.mu.Lock()
	hook := f.put
	f.mu.Unlock()
	do := func() error { return f.Store.Put(ctx, key, r, size, o) }
	if hook != nil {
		return hook(do)
	}
	return do()
}

func (f *faulty) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	f.mu.Lock()
	hook := f.get
	f.mu.Unlock()
	do := func() (io.ReadCloser, error) { return f.Store.Get(ctx, key, off, n) }
	if hook != nil {
		return hook(do)
	}
	return do()
}

// rig is a node, an object store and a packer for its one group.
type rig struct {
	t      *testing.T
	node   *accounttest.Node
	blobs  *faulty
	a      *account.Account
	packed chan struct{}
	opts   pack.Options
	sent   map[rookery.UID][]byte
	packer atomic.Pointer[pack.Packer]
	ahead  atomic.Int64 // of the clock that names packs and stamps commands: a duration
}

func (r *rig) clock() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }

const group = rookery.GroupID(2)

func newRig(t *testing.T, o accounttest.Options) *rig {
	s, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r := &rig{t: t, blobs: &faulty{Store: s}, packed: make(chan struct{}, 1000), sent: map[rookery.UID][]byte{}}
	o.Groups, o.Blobs = []rookery.GroupID{group}, r.blobs
	o.Unpacked = func(_ rookery.GroupID, _ rookery.LogIndex, n int64) {
		if p := r.packer.Load(); p != nil {
			p.Unpacked(n)
		}
	}
	o.Clock = r.clock
	r.node = accounttest.Open(t, o)
	r.a = r.node.Account(t, "dir/1")
	r.opts = pack.Options{Group: group, Source: r.node.Machine(group), Log: r.node.ReadLog, Store: r.blobs, Propose: r.node.Propose,
		Clock: r.clock, Packed: func() { r.packed <- struct{}{} },
		MaxPack: 64 << 10, Large: 40 << 10, MaxAge: 20 * time.Millisecond, SweepEvery: 30 * time.Millisecond, Rate: 1 << 40,
		RetryMin: time.Millisecond, RetryMax: 4 * time.Millisecond}
	return r
}

// start runs a packer until the returned function is called, which waits for it.
func (r *rig) start() (p *pack.Packer, stop func()) {
	return r.startWith(r.t.Context())
}

func (r *rig) startWith(parent context.Context) (p *pack.Packer, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	p = pack.NewPacker(r.opts)
	r.packer.Store(p)
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	stop = func() { cancel(); <-done }
	r.t.Cleanup(stop)
	return p, stop
}

func (r *rig) deliver(sizes ...int) {
	r.t.Helper()
	for _, n := range sizes {
		b := make([]byte, n)
		g := rand.New(rand.NewPCG(uint64(len(r.sent)), uint64(n)))
		for i := range b {
			b[i] = byte(g.Uint32())
			if b[i] == '\r' || b[i] == '\n' || b[i] == 0 {
				b[i] = 'x'
			}
		}
		m := append([]byte(fmt.Sprintf("Subject: %d\r\n\r\n", n)), b...)
		r.sent[r.node.Deliver(r.t, r.a, 0, m).UID] = m
	}
}

func (r *rig) unpacked() int {
	n, _, err := r.node.Machine(group).UnpackedBytes()
	if err != nil {
		r.t.Error(err)
	}
	return n
}

// until waits for a condition that packing brings about.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	timeout := time.After(3 * time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-r.packed:
		case <-tick.C:
		case <-timeout:
			r.t.Fatalf("waited too long until %s", what)
		}
	}
}

func (r *rig) untilPacked() {
	r.t.Helper()
	r.until("all is packed", func() bool { return r.unpacked() == 0 })
}

// dropLog forgets what the log may: bodies must come from packs.
func (r *rig) dropLog() rookery.LogIndex {
	r.t.Helper()
	floor, err := pack.Floor(r.node.Machine(group), func() rookery.LogIndex { return r.node.Applied(group) })
	if err != nil {
		r.t.Fatal(err)
	}
	r.node.Drop(group, floor)
	return floor
}

// check reads every message that was delivered and not removed.
func (r *rig) check() {
	r.t.Helper()
	v, err := r.a.View()
	if err != nil {
		r.t.Fatal(err)
	}
	defer v.Close()
	inbox, err := v.ByName("INBOX")
	if err != nil {
		r.t.Fatal(err)
	}
	rows := 0
	if err := v.Rows(inbox.ID, 1, 1<<31, func(row mailbox.Row) bool {
		rows++
		got, err := r.read(v, row)
		if err != nil || !bytes.Equal(got, r.sent[row.UID]) {
			r.t.Errorf("message %d: %d of %d bytes, %v", row.UID, len(got), len(r.sent[row.UID]), err)
		}
		return true
	}); err != nil {
		r.t.Fatal(err)
	}
	if rows != len(r.sent) {
		r.t.Errorf("%d messages, want %d", rows, len(r.sent))
	}
}

func (r *rig) read(v *mailbox.View, row mailbox.Row) ([]byte, error) {
	e, err := v.Email(row.Email)
	if err != nil {
		return nil, err
	}
	rd, err := r.a.Body(r.t.Context(), v, e)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	p := make([]byte, rd.Size())
	if _, err = rd.ReadAt(r.t.Context(), p, 0); err == io.EOF {
		err = nil
	}
	return p, err
}

// objects lists the store; every object must be a sound pack.
func (r *rig) objects() (packs []pack.Index) {
	r.t.Helper()
	var keys []string
	if err := r.blobs.Store.List(r.t.Context(), "b/", func(i blob.Info) error { keys = append(keys, i.Key); return nil }); err != nil {
		r.t.Fatal(err)
	}
	for _, k := range keys {
		x, err := pack.Verify(r.t.Context(), r.blobs.Store, k)
		if rookery.Is(err, rookery.KindNotFound) {
			continue // deleted since it was listed
		}
		if err != nil || k != pack.Key(x.Group, x.ID) {
			r.t.Errorf("%s: %v", k, err)
		}
		packs = append(packs, x)
	}
	return packs
}

func TestPackerMovesBodiesToTheStore(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(10, 20_000, 300_000, 30_000, 5, 30_000) // what waits at the start; one is staged
	_, stop := r.start()
	r.untilPacked()
	r.deliver(100, 700_000, 50)
	r.untilPacked()
	stop()
	floor := r.dropLog()
	if want := r.node.Applied(group) + 1; floor != want {
		t.Errorf("floor %d, want %d", floor, want)
	}
	r.check()
	large := 0
	for _, x := range r.objects() {
		if x.Group != group {
			t.Errorf("a pack of group %d", x.Group)
		}
		for i, e := range x.Entries {
			if e.Len > r.opts.Large && len(x.Entries) > 1 {
				t.Error("a large body shares a pack")
			} else if e.Len > r.opts.Large {
				large++
			}
			if i > 0 && e.Body <= x.Entries[i-1].Body {
				t.Error("bodies are out of order")
			}
		}
		if x.Size > r.opts.MaxPack+8192 && len(x.Entries) > 1 {
			t.Errorf("a pack of %d bytes", x.Size)
		}
	}
	if large != 2 {
		t.Errorf("%d large objects, want 2", large)
	}
}

func TestFullPackIsSealedBeforeItsAge(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.opts.MaxAge, r.opts.SweepEvery = time.Hour, time.Hour
	p, _ := r.start()
	<-r.packed // it has started
	r.deliver(30_000)
	if p.Stats().Packs != 0 {
		t.Error("a short pack was sealed at once")
	}
	r.deliver(30_000, 30_000)
	r.until("the full pack is up", func() bool { return p.Stats().Packs >= 1 })
}

func TestOutage(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.blobs.set(func(f *faulty) { f.put = func(func() error) error { return errFault } })
	p, _ := r.start()
	r.deliver(100, 30_000, 90_000)
	r.until("the packer has met the outage several times", func() bool { return p.Stats().Failures > 5 })
	r.deliver(30_000, 30_000, 10) // mail goes on
	r.check()                     // and is read from the log
	if s := p.Stats(); s.Packs != 0 || s.LastError == "" {
		t.Errorf("%+v", s)
	}
	if floor := r.dropLog(); floor > r.node.Applied(group) {
		t.Errorf("floor %d would drop unpacked bodies", floor)
	}
	r.check()
	r.blobs.set(func(f *faulty) { f.put = nil })
	r.untilPacked()
	r.until("the trouble is over", func() bool { return p.Stats().LastError == "" })
	r.dropLog()
	r.check()
}

func TestPutThatSucceedsAfterItsTimeout(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	n := 0
	r.blobs.set(func(f *faulty) {
		f.put = func(do func() error) error {
			err := do()
			if n++; n <= 3 {
				return errFault // stored, but nobody knows
			}
			return err
		}
	})
	r.deliver(100, 90_000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	if got := len(r.objects()); got != 2 {
		t.Errorf("%d objects, want 2: the doubtful ones must be overwritten", got)
	}
	r.dropLog()
	r.check()
}

func TestGarbledPutIsNoticed(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	n := 0
	r.blobs.set(func(f *faulty) {
		f.get = func(do func() (io.ReadCloser, error)) (io.ReadCloser, error) {
			rc, err := do()
			if n++; err != nil || n > 2 {
				return rc, err
			}
			defer rc.Close()
			b, err := io.ReadAll(rc)
			b[len(b)/2] ^= 1
			return io.NopCloser(bytes.NewReader(b)), err
		}
	})
	r.deliver(1000)
	p, stop := r.start()
	r.untilPacked()
	stop()
	if s := p.Stats(); s.Failures != 2 || r.blobs.puts.Load() != 3 {
		t.Errorf("%+v after %d puts", s, r.blobs.puts.Load())
	}
	r.dropLog()
	r.check()
}

// The process dies at each step in turn; the next one must finish the work, with
// at most one orphan a crash.
func TestCrashAtEveryStep(t *testing.T) {
	for _, large := range []bool{false, true} {
		for _, step := range []string{"before put", "half of put", "after put", "before read back", "before propose", "after propose"} {
			t.Run(fmt.Sprintf("%s, large %v", step, large), func(t *testing.T) { crash(t, step, large) })
		}
	}
}

func crash(t *testing.T, step string, large bool) {
	ctx, die := context.WithCancel(t.Context())
	defer die()
	var armed atomic.Bool
	armed.Store(true)
	at := func(s string) bool {
		if s == step && armed.CompareAndSwap(true, false) {
			die()
			return true
		}
		return false
	}
	isPacked := func(c command.Command) bool { _, ok := c.(*command.Packed); return ok }
	r := newRig(t, accounttest.Options{
		Before: func(_ rookery.GroupID, c command.Command) error {
			if isPacked(c) && at("before propose") {
				return rookery.E("test", rookery.KindUnknown, context.Canceled)
			}
			return nil
		},
		After: func(_ rookery.GroupID, c command.Command) error {
			if isPacked(c) && at("after propose") {
				return rookery.E("test", rookery.KindUnknown, context.Canceled)
			}
			return nil
		},
	})
	r.blobs.set(func(f *faulty) {
		f.put = func(do func() error) error {
			if at("before put") {
				return errFault
			}
			if step == "half of put" && armed.Load() {
				at(step)
				return do() // the context is over: the store must leave nothing half
			}
			err := do()
			if at("after put") {
				return errFault
			}
			return err
		}
		f.get = func(do func() (io.ReadCloser, error)) (io.ReadCloser, error) {
			if at("before read back") {
				return nil, errFault
			}
			return do()
		}
	})
	if large {
		r.deliver(90_000)
	} else {
		r.deliver(100, 2000, 3000)
	}
	_, stop := r.startWith(ctx)
	<-ctx.Done()
	stop()
	r.dropLog()
	r.check() // whatever happened, all mail is readable
	_, stop = r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	r.check()
	if n := len(r.objects()); n > 2 {
		t.Errorf("%d objects after one crash", n)
	}
}

func TestProposalInDoubt(t *testing.T) {
	lost := 0
	r := newRig(t, accounttest.Options{After: func(_ rookery.GroupID, c command.Command) error {
		if _, ok := c.(*command.Packed); ok && lost < 2 {
			lost++
			return rookery.E("test", rookery.KindUnknown, errors.New("the answer was lost"))
		}
		return nil
	}})
	r.deliver(10, 20)
	p, stop := r.start()
	r.untilPacked()
	r.until("the packer knows", func() bool { return p.Stats().Packs == 1 })
	stop()
	packs, err := r.node.Machine(group).Packs("", 10)
	if err != nil || len(packs) != 1 || packs[0].LiveBodies != 2 {
		t.Errorf("%+v, %v", packs, err)
	}
}

func TestUnreadableBodyStopsNoOther(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(10, 20, 30)
	bodies, err := r.node.Machine(group).Unpacked(0, 10)
	if err != nil || len(bodies) != 3 {
		t.Fatalf("%d bodies, %v", len(bodies), err)
	}
	bad := bodies[1].Log[0].Index
	var mended atomic.Bool
	r.opts.Log = func(ctx context.Context, g rookery.GroupID, i rookery.LogIndex, term uint64, p []byte, off int64) error {
		if i == bad && !mended.Load() {
			return rookery.E("read log", rookery.KindDamaged, errors.New("bad sector"))
		}
		return r.node.ReadLog(ctx, g, i, term, p, off)
	}
	p, _ := r.start()
	r.until("the other two are packed", func() bool { return r.unpacked() == 1 })
	if floor := r.dropLog(); floor != bad {
		t.Errorf("floor %d, want %d", floor, bad)
	}
	mended.Store(true)
	r.untilPacked()
	r.until("none is unreadable", func() bool { return p.Stats().Unreadable == 0 })
	r.dropLog()
	r.check()
}

func TestDeadPacks(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	var allowed atomic.Bool
	var asked atomic.Int32
	r.opts.Deletable = func(_ context.Context, k mailbox.Pack) (bool, error) {
		asked.Add(1)
		if k.State != mailbox.PackDead || k.Dead == 0 {
			t.Errorf("asked about %+v", k)
		}
		if !allowed.Load() {
			return false, errors.New("restore points cannot be read")
		}
		return true, nil
	}
	r.deliver(10, 20)
	r.start()
	r.untilPacked()
	r.purge(1, 2)
	r.until("deletion was asked for twice", func() bool { return asked.Load() >= 2 })
	if n := len(r.objects()); n != 1 {
		t.Errorf("%d objects: an error must keep the pack", n)
	}
	allowed.Store(true)
	r.until("the object is gone", func() bool { return len(r.objects()) == 0 })
	if packs := r.packs(); len(packs) != 1 || packs[0].State != mailbox.PackDeleted {
		t.Errorf("%+v: the record must stay until the name expires", packs)
	}
	r.ahead.Store(int64(25 * time.Hour))
	r.until("the record is gone", func() bool { return len(r.packs()) == 0 })
}

func (r *rig) packs() []mailbox.Pack {
	r.t.Helper()
	packs, err := r.node.Machine(group).Packs("", 10_000)
	if err != nil {
		r.t.Fatal(err)
	}
	return packs
}

// purge removes messages for good.
func (r *rig) purge(uids ...rookery.UID) {
	r.t.Helper()
	if _, _, err := r.a.Expunge(r.t.Context(), command.Expunge{Mailbox: r.inbox(), UIDs: uidset.New(uids...), Force: true}); err != nil {
		r.t.Fatal(err)
	}
	if _, _, err := r.a.Apply(r.t.Context(),
		&command.PurgeExpunged{Account: r.a.ID(), Before: r.clock().Add(time.Hour).UnixNano()}); err != nil {
		r.t.Fatal(err)
	}
	for _, u := range uids {
		delete(r.sent, u)
	}
}

func (r *rig) inbox() rookery.MailboxID {
	v, err := r.a.View()
	if err != nil {
		r.t.Fatal(err)
	}
	defer v.Close()
	m, err := v.ByName("INBOX")
	if err != nil {
		r.t.Fatal(err)
	}
	return m.ID
}
