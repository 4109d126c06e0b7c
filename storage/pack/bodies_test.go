package pack_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/read"
)

func TestReadsComeFromTheCacheTheSecondTime(t *testing.T) {
	where := t.TempDir()
	cache, err := read.OpenCache(where, 64<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, accounttest.Options{Cache: cache})
	r.deliver(10, 50_000, 3_000_000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	r.check()
	r.blobs.set(func(f *faulty) {
		f.get = func(func() (io.ReadCloser, error)) (io.ReadCloser, error) { return nil, errFault }
	})
	r.check()
}

// A view that was opened before a body was packed names the log, which has let
// it go meanwhile: the body is read from its pack all the same.
func TestReadByAnOlderView(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(10, 50_000)
	v, err := r.a.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	_, stop := r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	for _, uid := range []rookery.UID{1, 2} {
		row, err := v.Row(r.inbox(), uid)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := r.read(v, row); err != nil || len(b) == 0 {
			t.Errorf("UID %d: %d bytes, %v", uid, len(b), err)
		}
	}
}

func TestStoreAwayAndObjectLost(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(10)
	_, stop := r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	read := func() error {
		v, err := r.a.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		row, err := v.Row(r.inbox(), 1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.read(v, row)
		return err
	}
	r.blobs.set(func(f *faulty) {
		f.get = func(func() (io.ReadCloser, error)) (io.ReadCloser, error) { return nil, errFault }
	})
	if err := read(); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("store away: %v", err)
	}
	r.blobs.set(func(f *faulty) { f.get = nil })
	for _, x := range r.objects() {
		if err := r.blobs.Delete(t.Context(), pack.Key(x.Group, x.ID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := read(); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("object lost: %v; it must not read as not found", err)
	}
}

// readers of one body share requests, and one that leaves does not spoil it for
// the others.
func TestReadersShareRequests(t *testing.T) {
	s, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := &faulty{Store: s}
	data := make([]byte, 100_000)
	rand.Read(data)
	x := mailbox.Body{ID: 1, Encoded: int64(len(data)), Pack: []mailbox.PackPiece{{Pack: "x", Off: 10, Len: int64(len(data))}}}
	if err := s.Put(t.Context(), pack.Key(2, "x"), bytes.NewReader(append(make([]byte, 10), data...)), int64(len(data))+10,
		blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	var gets atomic.Int32
	entered, release := make(chan struct{}, 10), make(chan struct{})
	f.get = func(do func() (io.ReadCloser, error)) (io.ReadCloser, error) {
		gets.Add(1)
		entered <- struct{}{}
		<-release
		return do()
	}
	b := read.New(read.Options{Store: f})
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- b.ReadAt(leaving, 2, x, make([]byte, 10), 0) }()
	<-entered
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			p := make([]byte, 1000)
			if err := b.ReadAt(t.Context(), 2, x, p, int64(i*1000)); err != nil || !bytes.Equal(p, data[i*1000:i*1000+1000]) {
				t.Errorf("reader %d: %v", i, err)
			}
		})
	}
	leave()
	if err := <-left; !rookery.Is(err, rookery.KindUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left: %v", err)
	}
	close(release)
	wg.Wait()
	if n := gets.Load(); n > 2 {
		t.Errorf("%d requests", n)
	}
	for _, bad := range [][2]int64{{-1, 1}, {0, x.Encoded + 1}, {x.Encoded, 1}} {
		if err := b.ReadAt(t.Context(), 2, x, make([]byte, bad[1]), bad[0]); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("range %v: %v", bad, err)
		}
	}
}

func TestCache(t *testing.T) {
	where := t.TempDir()
	open := func(max int64) *read.Cache {
		t.Helper()
		c, err := read.OpenCache(where, max, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open(400_000)
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 20_000) }
	for i := range 10 {
		c.Put(fmt.Sprint(i), value(i))
	}
	c.Get("0") // used last
	for i := 10; i < 25; i++ {
		c.Put(fmt.Sprint(i), value(i))
	}
	if c.Size() > 400_000 {
		t.Errorf("%d bytes in use", c.Size())
	}
	for i, want := range map[int]bool{0: true, 1: false, 5: false, 24: true} {
		if got, ok := c.Get(fmt.Sprint(i)); ok != want || ok && !bytes.Equal(got, value(i)) {
			t.Errorf("%d: %v, want %v", i, ok, want)
		}
	}
	c.Put("huge", make([]byte, 200_000))
	if _, ok := c.Get("huge"); ok {
		t.Error("one entry may not push out half the cache")
	}
	c = open(400_000) // a restart
	if got, ok := c.Get("24"); !ok || !bytes.Equal(got, value(24)) {
		t.Error("the restart lost what was cached")
	}
	files, _ := filepath.Glob(filepath.Join(where, "*", "*"))
	for _, f := range files { // a power cut tore them
		if err := os.Truncate(f, 10_000); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := c.Get("24"); ok {
		t.Error("a torn file was served")
	}
	if c = open(50_000); c.Size() > 50_000 {
		t.Errorf("a smaller bound is not kept: %d", c.Size())
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				k := (i + j) % 5
				c.Put(fmt.Sprint("k", k), value(k)[:9000])
				if got, ok := c.Get(fmt.Sprint("k", k)); ok && !bytes.Equal(got, value(k)[:9000]) {
					t.Error("another's bytes")
				}
			}
		})
	}
	wg.Wait()
}

// Who copies a body gets what passes the log's own check.
func TestReadChecked(t *testing.T) {
	give := func(fill byte) pack.LogReader {
		return func(_ context.Context, _ rookery.GroupID, _ rookery.LogIndex, _ uint64, p []byte, _ int64) error {
			for i := range p {
				p[i] = fill
			}
			return nil
		}
	}
	b := read.New(read.Options{Log: give('b'), Checked: give('g')})
	defer b.Close()
	x := mailbox.Body{ID: 1, Encoded: 4, Log: []mailbox.LogPiece{{Index: 1, Len: 4}}}
	p := make([]byte, 4)
	if err := b.ReadChecked(t.Context(), group, x, p, 0); err != nil || string(p) != "gggg" {
		t.Errorf("%q, %v", p, err)
	}
	if err := b.ReadAt(t.Context(), group, x, p, 0); err != nil || string(p) != "bbbb" {
		t.Errorf("%q, %v: one who opens what he reads needs no check of the log's", p, err)
	}
}
