package pack_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/read"
)

// shelf is an object store in memory that counts what is asked of it, with
// packs of made-up bodies.
type shelf struct {
	blob.Store
	objects map[string][]byte
	bodies  []mailbox.Body
	packs   map[command.PackID]int64

	mu   sync.Mutex
	gets int
	sent int64
	fail func(key string, off, n int64) error
}

func newShelf() *shelf {
	return &shelf{objects: map[string][]byte{}, packs: map[command.PackID]int64{}}
}

// add makes one pack of bodies of so many bytes.
func (s *shelf) add(sizes ...int) {
	id := command.PackID(fmt.Sprintf("%08d", len(s.packs)))
	b := make([]byte, 0, 1<<20)
	g := rand.NewChaCha8([32]byte{byte(len(s.packs))})
	for _, n := range sizes {
		piece := mailbox.PackPiece{Pack: id, Off: int64(len(b)), Len: int64(n)}
		x := make([]byte, n)
		g.Read(x)
		b = append(b, x...)
		s.bodies = append(s.bodies, mailbox.Body{ID: command.BodyID(len(s.bodies) + 1), Encoded: int64(n), Pack: []mailbox.PackPiece{piece}})
	}
	s.objects[pack.Key(group, id)], s.packs[id] = b, int64(len(b))
}

func (s *shelf) Get(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	if s.fail != nil {
		if err := s.fail(key, off, n); err != nil {
			return nil, err
		}
	}
	b := s.objects[key]
	if off+n > int64(len(b)) {
		return nil, rookery.E("test", rookery.KindDamaged, io.ErrUnexpectedEOF)
	}
	s.sent += n
	return io.NopCloser(bytes.NewReader(b[off : off+n])), nil
}

// reader opens bodies over the shelf; without a cache where max is 0.
func (s *shelf) reader(t *testing.T, max int64) *read.Bodies {
	t.Helper()
	o := read.Options{Store: s, Pack: func(_ rookery.GroupID, id command.PackID) (mailbox.Pack, error) {
		return mailbox.Pack{ID: id, Size: s.packs[id]}, nil
	}}
	if max > 0 {
		c, err := read.OpenCache(t.TempDir(), max, nil)
		if err != nil {
			t.Fatal(err)
		}
		o.Cache = c
	}
	b := read.New(o)
	t.Cleanup(b.Close)
	return b
}

// read reads a range of a body and compares it.
func (s *shelf) read(t *testing.T, b *read.Bodies, i int, off, n int64) {
	t.Helper()
	x := s.bodies[i]
	p := make([]byte, n)
	if err := b.ReadAt(t.Context(), group, x, p, off); err != nil {
		t.Fatalf("body %d: %v", i, err)
	}
	at := x.Pack[0].Off + off
	if want := s.objects[pack.Key(group, x.Pack[0].Pack)][at : at+n]; !bytes.Equal(p, want) {
		t.Fatalf("body %d: other bytes", i)
	}
}

func (s *shelf) whole(t *testing.T, b *read.Bodies, i int) {
	t.Helper()
	s.read(t, b, i, 0, s.bodies[i].Encoded)
}

// mailboxOf are the bodies of so many messages in packs of 8 MiB or of n bodies.
func mailboxOf(messages, inPack int) *shelf {
	s := newShelf()
	g := rand.New(rand.NewPCG(1, 1))
	var sizes []int
	sum := 0
	for range messages {
		n := 800 + int(g.ExpFloat64()*8000)
		if sum+n > 8<<20 || len(sizes) == inPack {
			s.add(sizes...)
			sizes, sum = nil, 0
		}
		sizes, sum = append(sizes, n), sum+n
	}
	s.add(sizes...)
	return s
}

func TestReadAheadOfAWalk(t *testing.T) {
	for _, c := range []struct {
		name   string
		inPack int
		max    int64 // cache
		order  func(n int) []int
		gets   func(packs int) int
	}{
		{"upwards", 1 << 20, 64 << 20, upwards, func(packs int) int { return packs + 3 }},
		{"downwards", 1 << 20, 64 << 20, func(n int) []int { o := upwards(n); slices.Reverse(o); return o },
			func(packs int) int { return packs + 5 }},
		{"small packs", 100, 64 << 20, upwards, func(packs int) int { return packs + 3 }},
		{"without a cache", 1 << 20, 0, upwards, func(packs int) int { return 9 * packs }},
		{"every third of shared packs", 1 << 20, 64 << 20, func(n int) []int {
			var o []int
			for i := 0; i < n; i += 3 {
				o = append(o, i)
			}
			return o
		}, func(packs int) int { return packs + 4 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mailboxOf(4000, c.inPack)
			b := s.reader(t, c.max)
			for _, i := range c.order(len(s.bodies)) {
				s.whole(t, b, i)
			}
			if want := c.gets(len(s.packs)); s.gets > want {
				t.Errorf("%d requests for %d packs, want at most %d", s.gets, len(s.packs), want)
			}
			t.Logf("%d requests, %d packs, %d MiB", s.gets, len(s.packs), s.sent>>20)
		})
	}
}

func upwards(n int) []int {
	o := make([]int, n)
	for i := range o {
		o[i] = i
	}
	return o
}

// Packs of a thousand accounts: one account's few bodies do not bring what is
// the others'.
func TestReadAheadSparesWhatIsNotWanted(t *testing.T) {
	s := mailboxOf(4000, 1<<20)
	b := s.reader(t, 64<<20)
	read := 0
	for i := 0; i < len(s.bodies); i += 200 {
		s.whole(t, b, i)
		read++
	}
	if most := int64(read) * 3 * 64 << 10; s.sent > most {
		t.Errorf("%d bodies brought %d KiB with %d requests, want at most %d KiB", read, s.sent>>10, s.gets, most>>10)
	}
}

// Two accounts' walks through the same packs do not spoil each other's.
func TestReadAheadOfTwoWalks(t *testing.T) {
	s := mailboxOf(6000, 1<<20)
	b := s.reader(t, 256<<20)
	half := len(s.bodies) / 2
	for i := range half {
		s.whole(t, b, i)
		s.whole(t, b, half+i)
	}
	if most := 3 * len(s.packs); s.gets > most {
		t.Errorf("%d requests for %d packs, want at most %d", s.gets, len(s.packs), most)
	}
}

func TestPartialReadsOfALargeBody(t *testing.T) {
	s := newShelf()
	s.add(10 << 20)
	b := s.reader(t, 64<<20)
	const steps = 1000
	step := s.bodies[0].Encoded / steps
	for i := range int64(steps) {
		s.read(t, b, 0, i*step, step)
	}
	if s.gets > 2 {
		t.Errorf("%d requests for 10 MB in %d reads, want at most 2", s.gets, steps)
	}
	s.gets = 0
	s.read(t, b, 0, 5<<20, 1000) // cached
	if s.gets != 0 {
		t.Errorf("%d requests for what is cached", s.gets)
	}
}

// One look into a large body brings little of it.
func TestOneLookBringsLittle(t *testing.T) {
	s := newShelf()
	s.add(50 << 20)
	b := s.reader(t, 64<<20)
	s.read(t, b, 0, 20<<20, 1000)
	if s.sent > 256<<10 {
		t.Errorf("1,000 bytes brought %d KiB", s.sent>>10)
	}
}

// A read-ahead that fails takes nobody with it who could have been served.
func TestReadAheadThatFails(t *testing.T) {
	s := mailboxOf(3000, 1<<20)
	b := s.reader(t, 64<<20)
	s.fail = func(_ string, _, n int64) error {
		if n > 64<<10 {
			return errFault
		}
		return nil
	}
	failed := 0
	for i := range s.bodies {
		x := s.bodies[i]
		if err := b.ReadAt(t.Context(), group, x, make([]byte, x.Encoded), 0); err != nil {
			failed++
		}
	}
	// A fault is the reader's who asked first; the others ask for themselves.
	if failed > len(s.bodies)/4 {
		t.Errorf("%d of %d reads failed", failed, len(s.bodies))
	}
}

// Hundreds of walks at once cost bounded requests and are served right.
func TestManyWalksAtOnce(t *testing.T) {
	s := mailboxOf(4000, 1<<20)
	b := s.reader(t, 64<<20)
	var wg sync.WaitGroup
	for k := range 50 {
		wg.Go(func() {
			for i := range 40 {
				s.whole(t, b, k*80+i)
			}
		})
	}
	wg.Wait()
	if s.gets > 400 {
		t.Errorf("%d requests for %d packs", s.gets, len(s.packs))
	}
}
