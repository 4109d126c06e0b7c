package pack_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/blob/s3"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// cpu is the processor time of this process so far: the client's, not the
// store's.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestCostPerBody measures what a body costs the client of an S3 server in
// packs, beside an object for each message, with the same client. It asserts
// requests only; the times are for reading:
//
//	ROOKERY_TEST_S3=http://... go test ./storage/pack -run CostPerBody -v
func TestCostPerBody(t *testing.T) {
	endpoint := os.Getenv("ROOKERY_TEST_S3")
	if endpoint == "" {
		t.Skip("ROOKERY_TEST_S3 is not set: no S3 server to test against (see test/s3server)")
	}
	store, err := s3.Open(s3.Config{Endpoint: endpoint, Bucket: "rookery-test", Prefix: "c" + strings.ToLower(rand.Text()[:8]),
		Addressing: "path", CAFile: os.Getenv("ROOKERY_TEST_S3_CA"),
		Credentials: s3.Credentials{AccessKey: "testuser", SecretKey: "secretsecret"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.MakeBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &counter{Store: store}
	const n = 2000
	var bodies [][]byte
	g := mathrand.New(mathrand.NewPCG(1, 2))
	for range n {
		b := make([]byte, 1000+g.IntN(12_000))
		rand.Read(b)
		bodies = append(bodies, b)
	}
	measure := func(what string, fn func()) {
		puts, gets, before, began := s.puts.Load(), s.gets.Load(), cpu(t), time.Now()
		fn()
		t.Logf("%-42s %7.0f us of CPU a body, %6.0f us in all, %.4f PUTs, %.4f GETs", what, float64((cpu(t)-before).Microseconds())/n,
			float64(time.Since(began).Microseconds())/n, float64(s.puts.Load()-puts)/n, float64(s.gets.Load()-gets)/n)
	}
	single := func(i int) string { return fmt.Sprintf("single/%d", i) }
	read := func(key string, want []byte) {
		r, err := s.Get(t.Context(), key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || sha256.Sum256(got) != sha256.Sum256(want) {
			t.Fatalf("%s came back with %d bytes, %v", key, len(got), err)
		}
	}
	measure("an object a message, put", func() {
		for i, b := range bodies {
			if err := s.Put(t.Context(), single(i), bytes.NewReader(b), int64(len(b)), blob.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	})
	measure("an object a message, read back and checked", func() {
		for i, b := range bodies {
			read(single(i), b)
		}
	})
	var records []mailbox.Body
	sizes := map[command.PackID]int64{}
	measure("packs, put, read back and checked", func() {
		for i := 0; i < n; {
			id := command.PackID(fmt.Sprintf("pack%05d", i))
			w := pack.NewWriter(group, id, 8<<20)
			for sum := 0; i < n && sum < 8<<20; i++ {
				b := bodies[i]
				if err := w.Add(command.BodyID(i+1), nil, int64(len(b)), func(p []byte, off int64) error { copy(p, b[off:]); return nil }); err != nil {
					t.Fatal(err)
				}
				sum += len(b)
			}
			for _, e := range w.Entries() {
				records = append(records, mailbox.Body{ID: e.Body, Encoded: e.Len, Pack: []mailbox.PackPiece{{Pack: id, Off: e.Off, Len: e.Len}}})
			}
			object := w.Finish()
			sizes[id] = int64(len(object))
			if err := s.Put(t.Context(), pack.Key(group, id), bytes.NewReader(object), int64(len(object)), blob.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			read(pack.Key(group, id), object)
		}
	})
	cache, err := pack.OpenCache(t.TempDir(), 64<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := pack.NewBodies(pack.BodiesOptions{Store: s, Cache: cache, Pack: func(_ rookery.GroupID, id command.PackID) (mailbox.Pack, error) {
		return mailbox.Pack{Size: sizes[id]}, nil
	}})
	defer b.Close()
	gets := s.gets.Load()
	measure("packs, read in order from a cold cache", func() {
		for i, x := range records {
			p := make([]byte, x.Encoded)
			if err := b.ReadAt(t.Context(), group, x, p, 0); err != nil || !bytes.Equal(p, bodies[i]) {
				t.Fatalf("body %d: %v", x.ID, err)
			}
		}
	})
	if got := int(s.gets.Load() - gets); got > len(sizes)+4 {
		t.Errorf("%d GETs for %d packs", got, len(sizes))
	}
	if len(sizes) > n/100 {
		t.Errorf("%d packs for %d bodies", len(sizes), n)
	}
	var keys []string
	for i := range bodies {
		keys = append(keys, single(i))
	}
	for id := range sizes {
		keys = append(keys, pack.Key(group, id))
	}
	if err := store.Delete(t.Context(), keys...); err != nil {
		t.Error(err)
	}
}
