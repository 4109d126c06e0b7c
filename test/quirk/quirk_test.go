package quirk_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/blob/s3"
	"rookery/test/harness"
	"rookery/test/quirk"
)

// through opens a store on the real server through a proxy.
func through(t *testing.T) (*s3.Store, *quirk.Proxy) {
	t.Helper()
	p := quirk.New(t, harness.S3(t), 1)
	s, err := s3.Open(s3.Config{Endpoint: p.URL, Bucket: "rookery-quirk", Prefix: "q" + strings.ToLower(rand.Text()[:8]), Addressing: "path",
		Credentials: s3.Credentials{AccessKey: "testuser", SecretKey: "secretsecret"},
		Attempts:    12, RetryPause: 200 * time.Millisecond, ResponseTimeout: 2 * time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.MakeBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, p
}

// Faults that pass do not show: objects are put, read, listed and deleted as
// ever while a fifth of all requests meet one.
func TestPassingFaultsDoNotShow(t *testing.T) {
	for _, kind := range []quirk.Kind{quirk.Refuse, quirk.Internal, quirk.SlowDown, quirk.CutUpload} {
		t.Run(kind.String(), func(t *testing.T) {
			s, p := through(t)
			f := quirk.Fault{Kind: kind, Share: 0.2}
			if kind == quirk.CutUpload {
				f.Ops = []quirk.Op{quirk.Put}
			}
			p.Set(f)
			useAll(t, s)
			if p.Done(kind) == 0 {
				t.Error("no request met the fault")
			}
		})
	}
}

func useAll(t *testing.T, s blob.Store) {
	t.Helper()
	var keys []string
	for i := range 20 {
		key := fmt.Sprintf("all/%d", i)
		keys = append(keys, key)
		text := strings.Repeat(key, 1000*i+1)
		if err := s.Put(t.Context(), key, strings.NewReader(text), int64(len(text)), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if read(t, s, key) != text {
			t.Errorf("%s has changed", key)
		}
		if info, err := s.Stat(t.Context(), key); err != nil || info.Size != int64(len(text)) {
			t.Errorf("%s: %+v %v", key, info, err)
		}
	}
	seen := 0
	if err := s.List(t.Context(), "all/", func(blob.Info) error { seen++; return nil }); err != nil || seen != len(keys) {
		t.Errorf("%d of %d listed: %v", seen, len(keys), err)
	}
	if err := s.Delete(t.Context(), keys...); err != nil {
		t.Error(err)
	}
	if _, err := s.Stat(t.Context(), keys[0]); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("a deleted object is there: %v", err)
	}
}

// An upload whose answer is lost is there: said again, it does no harm.
func TestLostReply(t *testing.T) {
	s, p := through(t)
	p.Set(quirk.Fault{Kind: quirk.LoseReply})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := s.Put(ctx, "a/b", bytes.NewReader([]byte("text")), 4, blob.PutOptions{})
	if !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a lost answer is %v, want unavailable: the outcome is in doubt", err)
	}
	p.Set()
	if got := read(t, s, "a/b"); got != "text" {
		t.Errorf("the object is %q", got)
	}
}

// What cannot pass by itself is told at once, with the mend.
func TestWrongSecretIsToldAtOnce(t *testing.T) {
	s, p := through(t)
	p.Set(quirk.Fault{Kind: quirk.BadSecret})
	before := p.Count(quirk.Put)
	err := s.Put(t.Context(), "a/b", bytes.NewReader([]byte("text")), 4, blob.PutOptions{})
	if !rookery.Is(err, rookery.KindDenied) || !strings.Contains(err.Error(), "check the secret key") {
		t.Errorf("a wrong secret is %v", err)
	}
	if n := p.Count(quirk.Put) - before; n != 1 {
		t.Errorf("it was tried %d times", n)
	}
}

// The faults of reads reach the reader, who has digests to see them by.
func TestReadFaultsReachTheReader(t *testing.T) {
	s, p := through(t)
	text := strings.Repeat("text ", 20_000)
	if err := s.Put(t.Context(), "a/b", strings.NewReader(text), int64(len(text)), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	p.Set(quirk.Fault{Kind: quirk.Corrupt, Ops: []quirk.Op{quirk.Get}})
	if got := read(t, s, "a/b"); got == text || len(got) != len(text) {
		t.Error("a flipped bit does not show")
	}
	p.Set(quirk.Fault{Kind: quirk.Cut, Ops: []quirk.Op{quirk.Get}})
	r, err := s.Get(t.Context(), "a/b", 0, -1)
	if err == nil {
		_, err = io.ReadAll(r)
		r.Close()
	}
	if err == nil {
		t.Error("an object cut half way is read without an error")
	}
	p.Set()
	if read(t, s, "a/b") != text {
		t.Error("the object has changed")
	}
}

// A store that says nothing is given up.
func TestHang(t *testing.T) {
	s, p := through(t)
	p.Set(quirk.Fault{Kind: quirk.Hang})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := s.Stat(ctx, "a/b"); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("silence is %v", err)
	}
}

func read(t *testing.T, s blob.Store, key string) string {
	t.Helper()
	r, err := s.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
