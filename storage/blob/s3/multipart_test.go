package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"rookery"
	"rookery/storage/blob"
)

// between is a proxy in front of the S3 server that counts requests and may
// answer in its place, before or after the server did the work.
type between struct {
	mu     sync.Mutex
	counts map[string]int
	before func(kind string, n int) int // a status to answer with, 0 for none
	after  func(kind string, n int) bool
}

func kindOf(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return "part"
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "begin"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return "complete"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return "abort"
	}
	return strings.ToLower(r.Method)
}

// proxied opens a store behind such a proxy.
func proxied(t *testing.T) (*Store, *between) {
	direct := server(t)
	u, err := url.Parse(direct.cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "http" {
		t.Skip("the proxy speaks HTTP only")
	}
	b := &between{counts: map[string]int{}}
	p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { // the host stays: it is signed
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = u.Scheme, u.Host, r.In.Host
	}}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := kindOf(r)
		b.mu.Lock()
		b.counts[kind]++
		n := b.counts[kind]
		before, after := b.before, b.after
		b.mu.Unlock()
		if before != nil {
			if status := before(kind, n); status != 0 {
				io.Copy(io.Discard, r.Body)
				w.WriteHeader(status)
				return
			}
		}
		if after != nil && after(kind, n) {
			p.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // the answer is lost
		}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	cfg := direct.cfg
	cfg.Endpoint = web.URL
	s, err := Open(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, b
}

const large = 70<<20 + 12345

// noise gives so many bytes that depend on nothing but their number.
func noise(n int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{}), n) }

func (s *Store) isNoise(t *testing.T, key string, n int64) {
	t.Helper()
	r, err := s.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, want := sha256.New(), sha256.New()
	have, err := io.Copy(got, r)
	io.Copy(want, noise(n))
	if err != nil || have != n || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d of %d bytes, or others: %v", have, n, err)
	}
}

func (s *Store) uploads(t *testing.T) int {
	t.Helper()
	l, err := s.core.ListMultipartUploads(t.Context(), s.cfg.Bucket, s.cfg.Prefix, "", "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return len(l.Uploads)
}

func TestLargeObjectsGoUpInParts(t *testing.T) {
	s, b := proxied(t)
	failed := false
	b.before = func(kind string, n int) int {
		if kind == "part" && n == 2 && !failed {
			failed = true
			return http.StatusServiceUnavailable
		}
		return 0
	}
	lost := false
	b.after = func(kind string, n int) bool {
		if kind == "complete" && !lost {
			lost = true
			return true
		}
		return false
	}
	// The source cannot be rewound: a part is repeated from memory.
	if err := s.Put(t.Context(), "large/1", noise(large), large, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if b.counts["part"] != 6 || b.counts["put"] != 0 || b.counts["complete"] < 2 {
		t.Errorf("requests: %v; want 5 parts, one of them twice, and a second completion", b.counts)
	}
	s.isNoise(t, "large/1", large)
	if n := s.uploads(t); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
	if err := s.Delete(t.Context(), "large/1"); err != nil {
		t.Error(err)
	}
}

// Where the store has no multipart uploads a large object goes up whole, and no
// later one asks again: a message must not wait in the log for ever.
func TestLargeObjectsGoUpWholeWithoutMultipart(t *testing.T) {
	s, b := proxied(t)
	b.before = func(kind string, _ int) int {
		if kind == "begin" {
			return http.StatusNotImplemented
		}
		return 0
	}
	for _, key := range []string{"large/whole1", "large/whole2"} {
		if err := s.Put(t.Context(), key, noise(large), large, blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		s.isNoise(t, key, large)
	}
	if b.counts["begin"] != 1 || b.counts["put"] != 2 || b.counts["part"] != 0 {
		t.Errorf("requests: %v", b.counts)
	}
	if err := s.Delete(t.Context(), "large/whole1", "large/whole2"); err != nil {
		t.Error(err)
	}
}

func TestSmallerObjectsGoUpWhole(t *testing.T) {
	s, b := proxied(t)
	const n = 20 << 20
	if err := s.Put(t.Context(), "small/1", noise(n), n, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if b.counts["put"] != 1 || b.counts["begin"] != 0 {
		t.Errorf("requests: %v", b.counts)
	}
	s.Delete(t.Context(), "small/1")
}

func TestUploadThatFailsLeavesNoParts(t *testing.T) {
	broken := errors.New("the source broke")
	for name, c := range map[string]struct {
		source func(cancel func()) io.Reader
		before func(kind string, n int) int
		want   func(error) bool
	}{
		"the source breaks": {func(func()) io.Reader {
			return io.MultiReader(noise(40<<20), iotestErr{broken})
		}, nil, func(err error) bool { return errors.Is(err, broken) }},
		"the source is short": {func(func()) io.Reader { return noise(large - 1) }, nil,
			func(err error) bool { return rookery.Is(err, rookery.KindInvalid) }},
		"the source is long": {func(func()) io.Reader { return noise(large + 1) }, nil,
			func(err error) bool { return rookery.Is(err, rookery.KindInvalid) }},
		"a part is refused": {func(func()) io.Reader { return noise(large) }, func(kind string, n int) int {
			if kind == "part" && n > 2 {
				return http.StatusForbidden
			}
			return 0
		}, func(err error) bool { return rookery.Is(err, rookery.KindDenied) }},
		"the caller leaves": {func(cancel func()) io.Reader {
			return io.MultiReader(noise(40<<20), callReader(cancel), noise(large-40<<20))
		}, nil, func(err error) bool { return rookery.Is(err, rookery.KindUnavailable) }},
	} {
		t.Run(name, func(t *testing.T) {
			s, b := proxied(t)
			b.before = c.before
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if err := s.Put(ctx, "large/2", c.source(cancel), large, blob.PutOptions{}); !c.want(err) {
				t.Errorf("put: %v", err)
			}
			if n := s.uploads(t); n != 0 || b.counts["begin"] != 1 || b.counts["abort"] == 0 {
				t.Errorf("%d uploads are left; requests %v", n, b.counts)
			}
			if _, err := s.Stat(t.Context(), "large/2"); !rookery.Is(err, rookery.KindNotFound) {
				t.Errorf("there is an object: %v", err)
			}
		})
	}
}

type iotestErr struct{ error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.error }

// callReader calls and is at its end.
type callReader func()

func (c callReader) Read([]byte) (int, error) { c(); return 0, io.EOF }
