package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"rookery"
	"rookery/storage/blob"
	"rookery/test/quirk"
)

// proxied opens a store behind a proxy that counts requests and does them harm.
func proxied(t *testing.T) (*Store, *quirk.Proxy) {
	direct := server(t)
	if direct.secure {
		t.Skip("the proxy speaks HTTP only")
	}
	p := quirk.New(t, direct.cfg.Endpoint, 1)
	cfg := direct.cfg
	cfg.Endpoint = p.URL
	s, err := Open(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, p
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
	s, p := proxied(t)
	p.Set(quirk.Fault{Kind: quirk.SlowDown, Ops: []quirk.Op{quirk.Part}, After: 1, Times: 1},
		quirk.Fault{Kind: quirk.LoseReply, Ops: []quirk.Op{quirk.Complete}, Times: 1})
	// The source cannot be rewound: a part is repeated from memory.
	if err := s.Put(t.Context(), "large/1", noise(large), large, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if parts, whole, completed := p.Count(quirk.Part), p.Count(quirk.Put), p.Count(quirk.Complete); parts != 6 || whole != 0 || completed < 2 {
		t.Errorf("%d parts, %d whole, %d completions; want 5 parts, one of them twice, and a second completion", parts, whole, completed)
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
	s, p := proxied(t)
	p.Set(quirk.Fault{Kind: quirk.Unknown, Ops: []quirk.Op{quirk.Begin}})
	for _, key := range []string{"large/whole1", "large/whole2"} {
		if err := s.Put(t.Context(), key, noise(large), large, blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		s.isNoise(t, key, large)
	}
	if begun, whole, parts := p.Count(quirk.Begin), p.Count(quirk.Put), p.Count(quirk.Part); begun != 1 || whole != 2 || parts != 0 {
		t.Errorf("%d uploads begun, %d whole, %d parts", begun, whole, parts)
	}
	if err := s.Delete(t.Context(), "large/whole1", "large/whole2"); err != nil {
		t.Error(err)
	}
}

func TestSmallerObjectsGoUpWhole(t *testing.T) {
	s, p := proxied(t)
	const n = 20 << 20
	if err := s.Put(t.Context(), "small/1", noise(n), n, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if whole, begun := p.Count(quirk.Put), p.Count(quirk.Begin); whole != 1 || begun != 0 {
		t.Errorf("%d whole, %d uploads begun", whole, begun)
	}
	s.Delete(t.Context(), "small/1")
}

func TestUploadThatFailsLeavesNoParts(t *testing.T) {
	broken := errors.New("the source broke")
	for name, c := range map[string]struct {
		source func(cancel func()) io.Reader
		fault  []quirk.Fault
		want   func(error) bool
	}{
		"the source breaks": {func(func()) io.Reader {
			return io.MultiReader(noise(40<<20), iotestErr{broken})
		}, nil, func(err error) bool { return errors.Is(err, broken) }},
		"the source is short": {func(func()) io.Reader { return noise(large - 1) }, nil,
			func(err error) bool { return rookery.Is(err, rookery.KindInvalid) }},
		"the source is long": {func(func()) io.Reader { return noise(large + 1) }, nil,
			func(err error) bool { return rookery.Is(err, rookery.KindInvalid) }},
		"a part is refused": {func(func()) io.Reader { return noise(large) },
			[]quirk.Fault{{Kind: quirk.BadSecret, Ops: []quirk.Op{quirk.Part}, After: 2}},
			func(err error) bool { return rookery.Is(err, rookery.KindDenied) }},
		"the caller leaves": {func(cancel func()) io.Reader {
			return io.MultiReader(noise(40<<20), callReader(cancel), noise(large-40<<20))
		}, nil, func(err error) bool { return rookery.Is(err, rookery.KindUnavailable) }},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := proxied(t)
			p.Set(c.fault...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if err := s.Put(ctx, "large/2", c.source(cancel), large, blob.PutOptions{}); !c.want(err) {
				t.Errorf("put: %v", err)
			}
			if n, begun, aborts := s.uploads(t), p.Count(quirk.Begin), p.Count(quirk.Abort); n != 0 || begun != 1 || aborts == 0 {
				t.Errorf("%d uploads are left of %d begun, with %d aborts", n, begun, aborts)
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
