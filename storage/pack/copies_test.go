package pack_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/read"
)

// otherLog is the log of another replica, which has not let anything go.
type otherLog struct {
	r    *rig
	kept map[rookery.LogIndex][]byte
	asks int
	away error // in place of every answer
}

func (o *otherLog) read(_ context.Context, _ rookery.GroupID, index rookery.LogIndex, _ uint64, p []byte, off int64) error {
	o.asks++
	if o.away != nil {
		return o.away
	}
	b, ok := o.kept[index]
	if !ok {
		return rookery.E("test", rookery.KindNotFound, io.EOF)
	}
	copy(p, b[off:])
	return nil
}

// keep takes a copy of what the log holds of the group's bodies.
func (o *otherLog) keep() {
	o.r.t.Helper()
	bodies, err := o.r.node.Machine(group).Bodies(0, 1000)
	if err != nil {
		o.r.t.Fatal(err)
	}
	for _, b := range bodies {
		for _, q := range b.Log {
			if o.kept[q.Index] != nil {
				continue
			}
			p := make([]byte, q.Off+q.Len)
			if err := o.r.node.ReadLog(o.r.t.Context(), group, q.Index, q.Term, p[q.Off:], q.Off); err != nil {
				o.r.t.Fatal(err)
			}
			o.kept[q.Index] = p
		}
	}
}

// damagedRig has two small messages and a large one, in packs only, and
// another replica whose log has kept them.
func damagedRig(t *testing.T, cache *read.Cache) (*rig, *otherLog) {
	o := &otherLog{kept: map[rookery.LogIndex][]byte{}}
	r := newRig(t, accounttest.Options{Cache: cache,
		Remote: func(ctx context.Context, g rookery.GroupID, i rookery.LogIndex, term uint64, p []byte, off int64) error {
			return o.read(ctx, g, i, term, p, off)
		}})
	o.r = r
	r.deliver(3000, 5000, 200_000)
	o.keep()
	_, stop := r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	return r, o
}

// garble flips a byte in each body of each pack.
func (r *rig) garble() {
	r.t.Helper()
	for _, x := range r.objects() {
		b := r.object(pack.Key(group, x.ID))
		for _, e := range x.Entries {
			b[e.Off+e.Len/2] ^= 4
		}
		r.rewrite(pack.Key(group, x.ID), b)
	}
}

func TestGarbledPackIsReadFromAnotherReplica(t *testing.T) {
	r, o := damagedRig(t, nil)
	r.garble()
	r.check()
	if s := r.node.Bodies.Stats(); s.Failed < 3 || s.Healed != s.Failed || s.Lost != 0 || o.asks == 0 {
		t.Errorf("%+v after %d looks into the other log", s, o.asks)
	}
}

func TestLostPackIsReadFromAnotherReplica(t *testing.T) {
	r, _ := damagedRig(t, nil)
	for _, x := range r.objects() {
		if err := r.blobs.Delete(t.Context(), pack.Key(group, x.ID)); err != nil {
			t.Fatal(err)
		}
	}
	r.check()
	if s := r.node.Bodies.Stats(); s.Failed == 0 || s.Healed != s.Failed || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

// The store is away: what another replica's log still has is read all the same.
func TestStoreAwayIsReadFromAnotherReplica(t *testing.T) {
	r, _ := damagedRig(t, nil)
	r.blobs.set(func(f *faulty) {
		f.get = func(func() (io.ReadCloser, error)) (io.ReadCloser, error) { return nil, errFault }
	})
	r.check()
	if s := r.node.Bodies.Stats(); s.Failed != 0 {
		t.Errorf("an outage is no damage: %+v", s)
	}
}

func TestGarbledEverywhereIsDamaged(t *testing.T) {
	r, o := damagedRig(t, nil)
	clear(o.kept)
	r.garble()
	v, err := r.a.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for uid := rookery.UID(1); uid <= 3; uid++ {
		row, err := v.Row(r.inbox(), uid)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.read(v, row); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("message %d: %v", uid, err)
		}
	}
	if s := r.node.Bodies.Stats(); s.Lost != 3 || s.Healed != 0 {
		t.Errorf("%+v", s)
	}
}

// Bytes garbled on their way are in the cache with a checksum that fits: they
// are dropped there and read again.
func TestWhatWasGarbledOnItsWayLeavesTheCache(t *testing.T) {
	where := t.TempDir()
	cache, err := read.OpenCache(where, 64<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, o := damagedRig(t, cache)
	clear(o.kept)
	garbled := map[*garbler]bool{}
	bad := true
	r.blobs.set(func(f *faulty) {
		f.get = func(do func() (io.ReadCloser, error)) (io.ReadCloser, error) {
			rc, err := do()
			if err == nil && bad {
				g := &garbler{rc}
				garbled[g] = true
				bad = false
				return g, nil
			}
			return rc, err
		}
	})
	r.check()
	if s := r.node.Bodies.Stats(); s.Healed == 0 || s.Healed != s.Failed || len(garbled) != 1 {
		t.Errorf("%+v", s)
	}
	before := r.node.Bodies.Stats().Failed
	r.check()
	if s := r.node.Bodies.Stats(); s.Failed != before {
		t.Errorf("what is bad stayed in the cache: %+v", s)
	}
}

// garbler turns over every byte.
type garbler struct{ io.ReadCloser }

func (g *garbler) Read(p []byte) (int, error) {
	n, err := g.ReadCloser.Read(p)
	for i := range p[:n] {
		p[i] ^= 0xff
	}
	return n, err
}

// A cache file that was overwritten is noticed by its checksum.
func TestDamagedCacheFileIsReadAgain(t *testing.T) {
	where := t.TempDir()
	cache, err := read.OpenCache(where, 64<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := damagedRig(t, cache)
	r.check()
	files, err := filepath.Glob(filepath.Join(where, "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d cache files, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Another reader, which has nothing in memory.
	b := read.New(read.Options{Store: r.blobs, Cache: cache})
	defer b.Close()
	bodies, err := r.node.Machine(group).Bodies(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range bodies {
		p, q := make([]byte, x.Encoded), make([]byte, x.Encoded)
		x.Log = nil
		if err := b.ReadAt(t.Context(), group, x, p, 0); err != nil {
			t.Fatal(err)
		}
		if err := read.New(read.Options{Store: r.blobs}).ReadAt(t.Context(), group, x, q, 0); err != nil || string(p) != string(q) {
			t.Errorf("body %d: other bytes from the damaged cache, %v", x.ID, err)
		}
	}
}

// A scan of everything leaves what is used again and again.
func TestCacheHoldsWhatIsUsedAgain(t *testing.T) {
	where := t.TempDir()
	c, err := read.OpenCache(where, 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 10_000)
	name := func(k string, i int) string { return k + string(rune('a'+i)) }
	for i := range 20 {
		c.Put(name("hot", i), block)
	}
	for i := range 20 {
		c.Put(name("between", i), block) // time passes
	}
	for i := range 20 {
		c.Get(name("hot", i))
	}
	scan := func(c *read.Cache) {
		for i := range 500 {
			k := "scan" + string(rune('a'+i%26)) + string(rune('a'+i/26))
			c.Put(k, block)
			c.Get(k) // in small steps
			c.Get(k)
		}
	}
	hot := func(c *read.Cache) (n int) {
		for i := range 20 {
			if c.Has(name("hot", i)) {
				n++
			}
		}
		return n
	}
	if scan(c); hot(c) != 20 {
		t.Errorf("a scan left %d of 20 hot entries", hot(c))
	}
	if c, err = read.OpenCache(where, 1<<20, nil); err != nil {
		t.Fatal(err)
	}
	if scan(c); hot(c) != 20 || c.Size() > 1<<20 {
		t.Errorf("after a restart a scan left %d of 20 hot entries, %d bytes", hot(c), c.Size())
	}
	// What is held gives way in the end, to what is used more.
	for i := range 100 {
		c.Put(name("new", i), block)
	}
	for i := range 100 {
		c.Get(name("new", i))
	}
	if c.Size() > 1<<20 {
		t.Errorf("%d bytes", c.Size())
	}
}

// A reader of an old view follows a body whose pack was rewritten and cleared
// away.
func TestReadFollowsAMovedBody(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(3000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	old, err := r.node.Machine(group).Bodies(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	x := old[0]
	if _, err := pack.Mend(t.Context(), r.opts, old, map[rookery.LogIndex]pack.BodyReader{x.ID: r.node.Bodies.Copy(group, x, 1)}); err != nil {
		t.Fatal(err)
	}
	if err := r.blobs.Delete(t.Context(), pack.Key(group, x.Pack[0].Pack)); err != nil {
		t.Fatal(err)
	}
	b := read.New(read.Options{Store: r.blobs, Body: func(_ rookery.GroupID, id rookery.LogIndex) (mailbox.Body, error) {
		return r.node.Machine(group).Body(id)
	}})
	defer b.Close()
	x.Log = nil
	if err := b.ReadAt(t.Context(), group, x, make([]byte, x.Encoded), 0); err != nil {
		t.Error(err)
	}
	if s := b.Stats(); s.Failed != 0 {
		t.Errorf("a body that moved counts as damage: %+v", s)
	}
	r.check()
}
