// Package blobtest is the conformance suite of blob.Store: every driver runs
// it, and a decorator that passes it may stand in for a driver. It owns the
// meaning of the contract where words leave room; it knows no driver.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"slices"
	"sync"
	"testing"

	"rookery"
	"rookery/storage/blob"
)

// Run checks the store that open gives. open is called once per subtest and may
// return the same store each time; every subtest uses keys of its own.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	each(t, open, []check{
		{"RoundTrip", roundTrip}, {"Ranges", ranges}, {"Missing", missing}, {"WrongSize", wrongSize},
		{"FailingSource", failingSource}, {"Replace", replace}, {"IfAbsent", ifAbsent}, {"BadKeys", badKeys},
		{"List", list}, {"DeleteMany", deleteMany}, {"Cancelled", cancelled}, {"Concurrent", concurrent},
	})
	RunOptional(t, open)
}

// RunOptional is the part of Run about what not every store can: copies,
// versions, locks. What a driver or its store lacks is skipped with the reason.
func RunOptional(t *testing.T, open func(t *testing.T) blob.Store) {
	each(t, open, []check{{"Copy", copies}, {"Versions", versions}, {"Lock", locks}})
}

type check struct {
	name string
	test func(*testing.T, blob.Store, string)
}

func each(t *testing.T, open func(t *testing.T) blob.Store, all []check) {
	run := fmt.Sprintf("t%08x", mrand.Uint32())
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			c.test(t, open(t), run+"/"+lower(c.name))
		})
	}
}

func lower(s string) string { return string(bytes.ToLower([]byte(s))) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func put(t *testing.T, s blob.Store, key string, data []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), blob.PutOptions{}); err != nil {
		t.Fatalf("Put(%s, %d bytes): %v", key, len(data), err)
	}
}

func get(t *testing.T, s blob.Store, key string, off, n int64) ([]byte, error) {
	t.Helper()
	r, err := s.Get(t.Context(), key, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantKind(t *testing.T, what string, err error, kind rookery.Kind) {
	t.Helper()
	if !rookery.Is(err, kind) {
		t.Errorf("%s: error %v of kind %v, want kind %v", what, err, rookery.KindOf(err), kind)
	}
}

func roundTrip(t *testing.T, s blob.Store, dir string) {
	for _, n := range []int{0, 1, 4096, 65537, 9 << 20} {
		key, data := fmt.Sprintf("%s/%d", dir, n), random(n)
		// A reader that cannot seek must do.
		if err := s.Put(t.Context(), key, io.MultiReader(bytes.NewReader(data)), int64(n), blob.PutOptions{}); err != nil {
			t.Fatalf("Put of %d bytes: %v", n, err)
		}
		if got, err := get(t, s, key, 0, -1); err != nil || !bytes.Equal(got, data) {
			t.Errorf("Get of %d bytes: %d bytes, equal %v, %v", n, len(got), bytes.Equal(got, data), err)
		}
		info, err := s.Stat(t.Context(), key)
		if err != nil || info.Size != int64(n) || info.Key != key || info.Modified.IsZero() {
			t.Errorf("Stat of %d bytes: %+v, %v", n, info, err)
		}
	}
}

func ranges(t *testing.T, s blob.Store, dir string) {
	key, data := dir+"/x", random(1000)
	put(t, s, key, data)
	for _, r := range [][2]int64{{0, 1000}, {0, 1}, {999, 1}, {10, 500}, {500, -1}, {0, 0}, {1000, 0}, {1000, -1}, {7, 0}} {
		want := data[r[0]:]
		if r[1] >= 0 {
			want = want[:r[1]]
		}
		if got, err := get(t, s, key, r[0], r[1]); err != nil || !bytes.Equal(got, want) {
			t.Errorf("Get(%d, %d) = %d bytes, %v", r[0], r[1], len(got), err)
		}
	}
	for _, r := range [][2]int64{{0, 1001}, {999, 2}, {1001, 1}, {1001, -1}, {5000, 10}} {
		_, err := get(t, s, key, r[0], r[1])
		wantKind(t, fmt.Sprintf("Get(%d, %d) of 1000 bytes", r[0], r[1]), err, rookery.KindDamaged)
	}
	_, err := get(t, s, key, -1, 1)
	wantKind(t, "Get(-1, 1)", err, rookery.KindInvalid)
}

func missing(t *testing.T, s blob.Store, dir string) {
	for _, n := range []int64{-1, 0, 10} {
		_, err := get(t, s, dir+"/none", 0, n)
		wantKind(t, fmt.Sprintf("Get(0, %d)", n), err, rookery.KindNotFound)
	}
	_, err := s.Stat(t.Context(), dir+"/none")
	wantKind(t, "Stat", err, rookery.KindNotFound)
	if err := s.Delete(t.Context(), dir+"/none", dir+"/none2"); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
	if err := s.Delete(t.Context()); err != nil {
		t.Errorf("Delete of no keys: %v", err)
	}
	if got := listAll(t, s, dir+"/"); len(got) != 0 {
		t.Errorf("List of nothing: %v", got)
	}
}

func wrongSize(t *testing.T, s blob.Store, dir string) {
	for i, n := range []int64{9, 11, 0, -1, 1 << 20} {
		key := fmt.Sprintf("%s/%d", dir, i)
		err := s.Put(t.Context(), key, bytes.NewReader([]byte("0123456789")), n, blob.PutOptions{})
		wantKind(t, fmt.Sprintf("Put of 10 bytes as %d", n), err, rookery.KindInvalid)
		absentOrShort(t, s, key, n)
	}
}

func failingSource(t *testing.T, s blob.Store, dir string) {
	key, broken := dir+"/x", errors.New("the source is broken")
	r := io.MultiReader(bytes.NewReader(random(100_000)), errReader{broken})
	err := s.Put(t.Context(), key, r, 200_000, blob.PutOptions{})
	if !errors.Is(err, broken) {
		t.Errorf("Put: %v, want the source's error in the chain", err)
	}
	absentOrShort(t, s, key, 200_000)
}

// absentOrShort checks what a Put of n bytes left behind that could not get
// them: never an object of the announced size.
func absentOrShort(t *testing.T, s blob.Store, key string, n int64) {
	t.Helper()
	info, err := s.Stat(t.Context(), key)
	if err == nil && info.Size < n {
		t.Logf("the store keeps an upload cut off at %d of %d bytes", info.Size, n)
		return
	}
	wantKind(t, "Stat afterwards", err, rookery.KindNotFound)
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func replace(t *testing.T, s blob.Store, dir string) {
	// Repeating a Put after a doubtful outcome must do no harm.
	key, data := dir+"/x", random(5000)
	put(t, s, key, data)
	put(t, s, key, data)
	if got, err := get(t, s, key, 0, -1); err != nil || !bytes.Equal(got, data) {
		t.Errorf("Get: %d bytes, %v", len(got), err)
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	_, err := get(t, s, key, 0, -1)
	wantKind(t, "Get after Delete", err, rookery.KindNotFound)
	put(t, s, key, data[:10])
	if got, err := get(t, s, key, 0, -1); err != nil || !bytes.Equal(got, data[:10]) {
		t.Errorf("Get after Delete and Put: %d bytes, %v", len(got), err)
	}
}

func ifAbsent(t *testing.T, s blob.Store, dir string) {
	key := dir + "/x"
	var won, lost int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			err := s.Put(t.Context(), key, bytes.NewReader(random(100)), 100, blob.PutOptions{IfAbsent: true})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case rookery.Is(err, rookery.KindExists):
				lost++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 || lost != 7 {
		t.Errorf("%d won and %d lost, want 1 and 7", won, lost)
	}
}

func badKeys(t *testing.T, s blob.Store, dir string) {
	ctx := t.Context()
	for _, key := range []string{"", "../x", dir + "/../x", "/etc/passwd", "A", dir + "/x\x00", dir + "/", dir + "/.x"} {
		wantKind(t, fmt.Sprintf("Put %q", key), s.Put(ctx, key, bytes.NewReader(nil), 0, blob.PutOptions{}), rookery.KindInvalid)
		_, err := s.Get(ctx, key, 0, -1)
		wantKind(t, fmt.Sprintf("Get %q", key), err, rookery.KindInvalid)
		_, err = s.Stat(ctx, key)
		wantKind(t, fmt.Sprintf("Stat %q", key), err, rookery.KindInvalid)
		wantKind(t, fmt.Sprintf("Delete %q", key), s.Delete(ctx, key), rookery.KindInvalid)
	}
	wantKind(t, "List", s.List(ctx, "../", func(blob.Info) error { return nil }), rookery.KindInvalid)
}

func listAll(t *testing.T, s blob.Store, prefix string) []string {
	t.Helper()
	keys := []string{}
	err := s.List(t.Context(), prefix, func(i blob.Info) error {
		keys = append(keys, i.Key)
		if i.Size != 3 || i.Modified.IsZero() {
			t.Errorf("List gives %+v", i)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("List(%s): %v", prefix, err)
	}
	slices.Sort(keys)
	return keys
}

func list(t *testing.T, s blob.Store, dir string) {
	names := []string{"a/1", "a/2", "a-b/1", "ab/1", "b/c/d/1", "b/c/e/1"}
	for _, n := range names {
		put(t, s, dir+"/"+n, []byte("abc"))
	}
	for prefix, want := range map[string][]string{
		"/": {"a-b/1", "a/1", "a/2", "ab/1", "b/c/d/1", "b/c/e/1"}, "/a": {"a-b/1", "a/1", "a/2", "ab/1"},
		"/a/": {"a/1", "a/2"}, "/b/c/d": {"b/c/d/1"}, "/a/2": {"a/2"}, "/x": {}, "/a/1/": {},
	} {
		full := []string{}
		for _, w := range want {
			full = append(full, dir+"/"+w)
		}
		if got := listAll(t, s, dir+prefix); !slices.Equal(got, full) {
			t.Errorf("List(%s) = %v, want %v", prefix, got, full)
		}
	}
	stop := errors.New("stop")
	n := 0
	err := s.List(t.Context(), dir+"/", func(blob.Info) error { n++; return stop })
	if err != stop || n != 1 {
		t.Errorf("a listing stopped by its caller: %v after %d", err, n)
	}
}

func deleteMany(t *testing.T, s blob.Store, dir string) {
	// More than one DeleteObjects request (1,000 keys) and one listing page.
	keys := make([]string, 1100)
	work := make(chan string)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for k := range work {
				if err := s.Put(t.Context(), k, bytes.NewReader([]byte("abc")), 3, blob.PutOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range keys {
		keys[i] = fmt.Sprintf("%s/%04d", dir, i)
		work <- keys[i]
	}
	close(work)
	wg.Wait()
	if got := listAll(t, s, dir+"/"); !slices.Equal(got, keys) {
		t.Fatalf("List gives %d of %d keys", len(got), len(keys))
	}
	if err := s.Delete(t.Context(), append([]string{dir + "/none"}, keys[:1050]...)...); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	if got := listAll(t, s, dir+"/"); !slices.Equal(got, keys[1050:]) {
		t.Errorf("List after Delete gives %d keys, want 50", len(got))
	}
}

func cancelled(t *testing.T, s blob.Store, dir string) {
	put(t, s, dir+"/x", random(10))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Put(ctx, dir+"/y", bytes.NewReader(random(10)), 10, blob.PutOptions{})
	wantKind(t, "Put", err, rookery.KindUnavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v does not hold context.Canceled", err)
	}
	_, err = s.Get(ctx, dir+"/x", 0, -1)
	wantKind(t, "Get", err, rookery.KindUnavailable)
	_, err = s.Stat(ctx, dir+"/x")
	wantKind(t, "Stat", err, rookery.KindUnavailable)
	wantKind(t, "Delete", s.Delete(ctx, dir+"/x"), rookery.KindUnavailable)
	wantKind(t, "List", s.List(ctx, dir, func(blob.Info) error { return nil }), rookery.KindUnavailable)
}

func concurrent(t *testing.T, s blob.Store, dir string) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 {
				key, data := fmt.Sprintf("%s/%d/%d", dir, j, i), random(10_000+i)
				if err := s.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), blob.PutOptions{}); err != nil {
					t.Error(err)
					return
				}
				r, err := s.Get(t.Context(), key, 5000, int64(len(data)-5000))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(r)
				r.Close()
				if err != nil || !bytes.Equal(got, data[5000:]) {
					t.Errorf("%s: %d bytes, %v", key, len(got), err)
				}
			}
		})
	}
	wg.Wait()
}
