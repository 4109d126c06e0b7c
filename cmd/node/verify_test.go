package node

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
)

// verify has the node verify, and gives what it found.
func (b *backupNode) verify(o adminapi.VerifyOrder) (found []adminapi.VerifyFinding, r adminapi.VerifyResult) {
	b.t.Helper()
	ended, gaps := false, 0
	if err := b.client.VerifyBackup(b.t.Context(), o, func(e adminapi.VerifyEvent) error {
		switch {
		case e.Finding != nil && e.Finding.Fault == "gap":
			gaps++ // where archiving begins the log may be released before it is kept
		case e.Finding != nil:
			found = append(found, *e.Finding)
		case e.Result != nil:
			r, ended = *e.Result, true
		}
		return nil
	}); err != nil || !ended {
		b.t.Fatalf("%+v: %v, with a result: %v", o, err, ended)
	}
	if r.Findings != len(found) || r.Gaps != gaps {
		b.t.Errorf("%d findings, %+v", len(found), r)
	}
	return found, r
}

// TestTheBackupIsVerified: a sound archive is sound at every depth, with bodies in
// segments, in packs and in images, and the account's mail gone since.
func TestTheBackupIsVerified(t *testing.T) {
	b := openBackupNode(t)
	sendOne(t, b.Node, login(0), "Subject: behind the image\r\n\r\nhi\r\n")
	b.now()
	for _, o := range []adminapi.VerifyOrder{{}, {Depth: "sample"}, {Depth: "all"}, {Depth: "all", Account: login(0)},
		{Depth: "sample", Sample: 2}} {
		found, r := b.verify(o)
		if len(found) > 0 || r.Unchecked > 0 || r.Images == 0 || r.Segments == 0 {
			t.Errorf("%+v: %+v %+v", o, r, found)
		}
		switch {
		case o.Depth == "" && r.Messages > 0, o.Sample == 2 && r.Messages != 2, o.Depth == "all" && r.Messages < 7:
			t.Errorf("%+v: %d messages were read", o, r.Messages)
		}
	}
	b.destroy()
	b.now()
	if found, r := b.verify(adminapi.VerifyOrder{Depth: "all"}); len(found) > 0 || r.Unchecked > 0 {
		t.Errorf("with the mail gone: %+v %+v", r, found)
	}
	for name, o := range map[string]adminapi.VerifyOrder{"no depth": {Depth: "deep"}, "less than none": {Sample: -1}} {
		if err := b.client.VerifyBackup(t.Context(), o, nil); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.client.VerifyBackup(t.Context(), adminapi.VerifyOrder{Account: "nobody@" + testDomain}, nil); !rookery.Is(err,
		rookery.KindNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

// TestABadBodyIsFound: a pack that has changed in the object store, and one that is gone,
// are named with the message.
func TestABadBodyIsFound(t *testing.T) {
	var live atomic.Pointer[blob.Store]
	b := openBackupNodeWith(t, func(d *Deps) {
		d.tuning.store = func(s blob.Store) blob.Store { live.Store(&s); return s }
		d.tuning.packAge = time.Millisecond
	})
	store := *live.Load()
	var packs []string
	list := func() error {
		packs = nil
		return store.List(t.Context(), "b/", func(i blob.Info) error { packs = append(packs, i.Key); return nil })
	}
	b.await("all is packed", func() (bool, error) {
		_, unpacked := b.has()
		return unpacked == 0, list()
	})
	b.now()
	bad, gone := 0, 0
	for _, key := range packs {
		good := read(t, store, key)
		for _, with := range [][]byte{flipped(good), nil} {
			swap(t, store, key, with)
			found, _ := b.verify(adminapi.VerifyOrder{Depth: "all"})
			for _, f := range found {
				if f.Key != key || f.Detail == "" || f.Mend == "" {
					t.Errorf("%s: %+v", key, f)
				}
				if f.Email != "" && f.Account == b.id.String() && f.Fault == "damaged" {
					bad++
				} else if f.Email != "" && f.Fault == "missing" {
					gone++
				}
			}
			if len(found) == 0 {
				t.Errorf("%s: nothing is found", key)
			}
		}
		swap(t, store, key, good)
	}
	if found, _ := b.verify(adminapi.VerifyOrder{Depth: "all"}); len(found) > 0 || bad == 0 || gone == 0 {
		t.Errorf("%d messages were bad and %d gone, and then: %+v", bad, gone, found)
	}
}

// TestKeysBesideTheArchiveAreVerified: without them, or with others, the archive opens
// here and for no recovery kit. An object that changed is named on the way.
func TestKeysBesideTheArchiveAreVerified(t *testing.T) {
	b := openBackupNode(t)
	store, err := dir.Open(b.deps.Settings.Backup.Path)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	b.await("the keys lie there", func() (bool, error) {
		keys = nil
		err := store.List(t.Context(), "keys/", func(i blob.Info) error { keys = append(keys, i.Key); return nil })
		return len(keys) > 0, err
	})
	good := read(t, store, keys[0])
	for name, with := range map[string][]byte{"none": nil, "no JSON": good[:len(good)/2],
		"another version": bytes.Replace(good, []byte(`"Version":1`), []byte(`"Version":9`), 1)} {
		if name == "another version" && bytes.Equal(with, good) {
			with = bytes.Replace(good, []byte(`"cluster":"`), []byte(`"cluster":"x`), 1)
		}
		swap(t, store, keys[0], with)
		if found, _ := b.verify(adminapi.VerifyOrder{}); len(found) != 1 || found[0].Key != "keys/" || found[0].Fault != "unkept" {
			t.Errorf("%s: %+v", name, found)
		}
	}
	swap(t, store, keys[0], good)
	var segments []string
	if err := store.List(t.Context(), "seg/", func(i blob.Info) error { segments = append(segments, i.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(segments)
	last := segments[len(segments)-1]
	swap(t, store, last, flipped(read(t, store, last)))
	if found, _ := b.verify(adminapi.VerifyOrder{}); len(found) != 1 || found[0].Key != last || !found[0].Lost || found[0].From == nil {
		t.Errorf("%+v", found)
	}
}

// slowReads is a backup store whose reads wait until they are let go, or their caller is.
type slowReads struct {
	blob.Store
	on      *atomic.Bool
	waiting chan struct{}
	ended   chan struct{}
}

func (s slowReads) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if s.on.Load() && strings.HasPrefix(key, "img/") {
		s.waiting <- struct{}{}
		<-ctx.Done()
		s.ended <- struct{}{}
		return nil, ctx.Err()
	}
	return s.Store.Get(ctx, key, off, n)
}

// TestVerifyEndsWithItsClient: nothing goes on when the operator has gone.
func TestVerifyEndsWithItsClient(t *testing.T) {
	s := slowReads{on: new(atomic.Bool), waiting: make(chan struct{}, 100), ended: make(chan struct{}, 100)}
	b := openBackupNodeWith(t, func(d *Deps) {
		d.tuning.backup = func(in blob.Store) blob.Store { x := s; x.Store = in; return x }
	})
	s.on.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.client.VerifyBackup(ctx, adminapi.VerifyOrder{}, func(adminapi.VerifyEvent) error { return nil })
	}()
	<-s.waiting
	cancel()
	if err := <-done; err == nil {
		t.Error("a verification that was cut off has ended well")
	}
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		t.Error("the node goes on reading for nobody")
	}
}

func read(t *testing.T, s blob.Store, key string) []byte {
	t.Helper()
	in, err := s.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// swap puts an object in the place of another; nil only deletes.
func swap(t *testing.T, s blob.Store, key string, b []byte) {
	t.Helper()
	err := s.Delete(t.Context(), key)
	if err == nil && b != nil {
		err = s.Put(t.Context(), key, bytes.NewReader(b), int64(len(b)), blob.PutOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// flipped has bits changed all over.
func flipped(b []byte) []byte {
	b = slices.Clone(b)
	for i := 100; i < len(b); i += 50 {
		b[i] ^= 1
	}
	return b
}
