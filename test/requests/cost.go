package requests

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/blob/s3"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/read"
	"rookery/test/harness"
)

// Cost is what one way of keeping bodies takes of this process, the client of
// the S3 server, for each body.
type Cost struct {
	What       string
	CPU, Took  time.Duration
	Puts, Gets float64
}

const group = rookery.GroupID(2)

// CostPerBody keeps bodies of 1 to 13 KB as an object each and in packs, with
// the same client, writes them, reads them back and compares. It gives the
// object a message put and read, then the packs put and read.
func CostPerBody(t testing.TB, n int) (single, packs [2]Cost) {
	t.Helper()
	store, err := s3.Open(s3.Config{Endpoint: harness.S3(t), Bucket: "rookery-test",
		Prefix: "c" + strings.ToLower(rand.Text()[:8]), Addressing: "path",
		Credentials: s3.Credentials{AccessKey: "testuser", SecretKey: "secretsecret"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.MakeBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := &meter{t: t, Store: store}
	bodies := make([][]byte, n)
	g := mathrand.New(mathrand.NewPCG(1, 2))
	for i := range bodies {
		bodies[i] = make([]byte, 1000+g.IntN(12_000))
		rand.Read(bodies[i])
	}
	single[0] = m.measure("an object a message: PUT", n, func() {
		for i, b := range bodies {
			m.put(object(i), b)
		}
	})
	single[1] = m.measure("an object a message: read back and checked", n, func() {
		for i, b := range bodies {
			m.check(object(i), b)
		}
	})
	var p packed
	packs[0] = m.measure("packs: PUT, read back and checked", n, func() { p = m.pack(bodies) })
	reader := m.reader(p)
	packs[1] = m.measure("packs: read in order from a cold cache, cache written", n, func() {
		for i, x := range p.records {
			b := make([]byte, x.Encoded)
			if err := reader.ReadAt(t.Context(), group, x, b, 0); err != nil || !bytes.Equal(b, bodies[i]) {
				t.Fatalf("body %d: %v", x.ID, err)
			}
		}
	})
	m.clear(n, p)
	return single, packs
}

func object(i int) string { return fmt.Sprintf("single/%d", i) }

// packed are bodies in packs.
type packed struct {
	records []mailbox.Body
	sizes   map[command.PackID]int64
}

// meter is a store that counts requests.
type meter struct {
	t testing.TB
	blob.Store
	puts, gets atomic.Int64
}

// Put implements blob.Store.
func (m *meter) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	m.puts.Add(1)
	return m.Store.Put(ctx, key, r, size, o)
}

// Get implements blob.Store.
func (m *meter) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	m.gets.Add(1)
	return m.Store.Get(ctx, key, off, n)
}

func (m *meter) measure(what string, n int, fn func()) Cost {
	puts, gets, before, began := m.puts.Load(), m.gets.Load(), m.cpu(), time.Now()
	fn()
	each := time.Duration(n)
	return Cost{what, (m.cpu() - before) / each, time.Since(began) / each, float64(m.puts.Load()-puts) / float64(n),
		float64(m.gets.Load()-gets) / float64(n)}
}

// cpu is the processor time of this process so far.
func (m *meter) cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		m.t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (m *meter) put(key string, b []byte) {
	if err := m.Put(m.t.Context(), key, bytes.NewReader(b), int64(len(b)), blob.PutOptions{}); err != nil {
		m.t.Fatal(err)
	}
}

func (m *meter) check(key string, want []byte) {
	r, err := m.Get(m.t.Context(), key, 0, -1)
	if err != nil {
		m.t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	r.Close()
	if err != nil || sha256.Sum256(got) != sha256.Sum256(want) {
		m.t.Fatalf("%s came back with %d bytes, %v", key, len(got), err)
	}
}

// pack puts bodies into packs of 8 MiB and reads each pack back.
func (m *meter) pack(bodies [][]byte) packed {
	p := packed{sizes: map[command.PackID]int64{}}
	for i := 0; i < len(bodies); {
		id := command.PackID(fmt.Sprintf("pack%05d", i))
		w := pack.NewWriter(group, id, 8<<20)
		for sum := 0; i < len(bodies) && sum < 8<<20; i++ {
			b := bodies[i]
			if err := w.Add(command.BodyID(i+1), nil, int64(len(b)), func(p []byte, off int64) error { copy(p, b[off:]); return nil }); err != nil {
				m.t.Fatal(err)
			}
			sum += len(b)
		}
		for _, e := range w.Entries() {
			p.records = append(p.records, mailbox.Body{ID: e.Body, Encoded: e.Len, Pack: []mailbox.PackPiece{{Pack: id, Off: e.Off, Len: e.Len}}})
		}
		whole := w.Finish()
		p.sizes[id] = int64(len(whole))
		m.put(pack.Key(group, id), whole)
		m.check(pack.Key(group, id), whole)
	}
	return p
}

// reader reads bodies in packs as a node does, with an empty cache.
func (m *meter) reader(p packed) *read.Bodies {
	cache, err := read.OpenCache(m.t.TempDir(), 64<<20, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	b := read.New(read.Options{Store: m, Cache: cache, Pack: func(_ rookery.GroupID, id command.PackID) (mailbox.Pack, error) {
		return mailbox.Pack{Size: p.sizes[id]}, nil
	}})
	m.t.Cleanup(func() { b.Close() })
	return b
}

func (m *meter) clear(n int, p packed) {
	var keys []string
	for i := range n {
		keys = append(keys, object(i))
	}
	for id := range p.sizes {
		keys = append(keys, pack.Key(group, id))
	}
	if err := m.Delete(m.t.Context(), keys...); err != nil {
		m.t.Error(err)
	}
}
