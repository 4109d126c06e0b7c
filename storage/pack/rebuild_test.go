package pack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/pack"
	"rookery/storage/pack/check"
)

// rebuilt gives every body found, and the packs that were salvaged or lost.
func (r *rig) rebuilt() (bodies map[command.BodyID]pack.Entry, salvaged, lost int) {
	r.t.Helper()
	bodies = map[command.BodyID]pack.Entry{}
	if err := check.Rebuild(r.t.Context(), r.blobs, func(x check.Rebuilt) error {
		if x.Group != group || pack.Key(x.Group, x.ID) != x.Key {
			r.t.Errorf("%s is named group %d pack %s", x.Key, x.Group, x.ID)
		}
		switch {
		case x.Err != nil:
			if !rookery.Is(x.Err, rookery.KindDamaged) {
				r.t.Error(x.Err)
			}
			lost++
		case x.Salvaged:
			salvaged++
		}
		for _, e := range x.Entries {
			bodies[e.Body] = e
		}
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return bodies, salvaged, lost
}

func TestRebuildFindsEveryBody(t *testing.T) {
	for name, c := range map[string]struct {
		damage         func(b []byte) []byte
		salvaged, lost int
		bodies         int // of 4
	}{
		"in order":                            {func(b []byte) []byte { return b }, 0, 0, 4},
		"a header is garbled":                 {func(b []byte) []byte { b[3] ^= 1; return b }, 0, 0, 4},
		"a trailer is garbled":                {func(b []byte) []byte { b[len(b)-3] ^= 1; return b }, 1, 0, 4},
		"a trailer is cut off":                {func(b []byte) []byte { return b[:len(b)-24] }, 1, 0, 4},
		"something was added":                 {func(b []byte) []byte { return append(b, "more"...) }, 1, 0, 4},
		"the last entry is garbled":           {func(b []byte) []byte { b[len(b)-60] ^= 1; return b }, 1, 0, 4},
		"a body is garbled, with the trailer": {func(b []byte) []byte { b[200] ^= 1; b[len(b)-3] ^= 1; return b }, 1, 0, 3},
		"cut off in the bodies":               {func(b []byte) []byte { return b[:3000] }, 1, 1, 1},
		"empty":                               {func([]byte) []byte { return nil }, 1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, accounttest.Options{})
			r.deliver(2000, 3000, 1000, 100_000)
			_, stop := r.start()
			r.untilPacked()
			stop()
			known, _, _ := r.rebuilt()
			if len(known) != 4 {
				t.Fatalf("found %d of 4 bodies in a store in order", len(known))
			}
			for _, x := range r.objects() {
				if len(x.Entries) == 3 {
					key := pack.Key(group, x.ID)
					r.rewrite(key, c.damage(r.object(key)))
				}
			}
			got, salvaged, lost := r.rebuilt()
			if len(got) != c.bodies || salvaged+lost > 0 && salvaged+lost != max(c.salvaged, c.lost) || lost != c.lost {
				t.Errorf("%d bodies, %d packs salvaged, %d lost; want %d, %d, %d", len(got), salvaged, lost, c.bodies, c.salvaged, c.lost)
			}
			for id, e := range got {
				if want := known[id]; e.Off != want.Off || e.Len != want.Len || e.SHA256 != want.SHA256 ||
					!bytes.Equal(e.Layout, want.Layout) && !strings.Contains(name, "entry") {
					t.Errorf("body %d is said to be at %d+%d, it is at %d+%d", id, e.Off, e.Len, want.Off, want.Len)
				}
			}
		})
	}
}

// A large pack is searched by its end, and its body proved by streaming.
func TestRebuildSalvagesLargePacks(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(17 << 20)
	_, stop := r.start()
	r.untilPacked()
	stop()
	x := r.objects()[0]
	key := pack.Key(group, x.ID)
	b := r.object(key)
	b[len(b)-1] ^= 1
	r.rewrite(key, b)
	if got, salvaged, lost := r.rebuilt(); len(got) != 1 || salvaged != 1 || lost != 0 {
		t.Errorf("%d bodies, %d salvaged, %d lost", len(got), salvaged, lost)
	}
}

// Bodies that the state has lost from sight are found in packs it does not know
// of, and packed anew.
func TestMendFromAnotherPack(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(2000, 3000, 100_000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	// Every object goes away and lies under another name.
	for i, x := range r.objects() {
		key := pack.Key(group, x.ID)
		b := r.object(key)
		w := pack.NewWriter(group, command.PackID(fmt.Sprintf("copy%d", i)), len(b))
		for _, e := range x.Entries {
			if err := w.Add(e.Body, e.Layout, e.Len, func(p []byte, off int64) error { copy(p, b[e.Off+off:]); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		r.rewrite(pack.Key(group, command.PackID(fmt.Sprintf("copy%d", i))), w.Finish())
		if err := r.blobs.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	_, _, c := r.faults()
	sought := map[command.BodyID]bool{}
	for _, id := range c.Needed() {
		sought[id] = true
	}
	if len(sought) != 3 {
		t.Fatalf("%d bodies are sought, want 3", len(sought))
	}
	if err := check.Rebuild(t.Context(), r.blobs, func(x check.Rebuilt) error { c.Places(x, sought); return nil }); err != nil {
		t.Fatal(err)
	}
	bodies, err := r.node.Machine(group).Bodies(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	good := map[command.BodyID]pack.BodyReader{}
	for _, b := range bodies {
		q, ok := c.Elsewhere(b.ID)
		if !ok {
			t.Fatalf("body %d was not found", b.ID)
		}
		b.Pack[0] = q
		good[b.ID] = r.node.Bodies.Copy(group, b, 1)
	}
	mended, err := pack.Mend(t.Context(), r.opts, bodies, good)
	if err != nil || len(mended) != 3 {
		t.Fatalf("mended %v of %v, %v", mended, slices.Collect(maps.Keys(sought)), err)
	}
	r.check()
	if _, _, c := r.faults(); len(c.Needed()) > 0 {
		t.Errorf("%v are damaged after the repair", c.Needed())
	}
}

// oneObject is a store that holds one pack.
type oneObject struct {
	blob.Store
	key string
	b   []byte
}

func (o oneObject) List(_ context.Context, _ string, fn func(blob.Info) error) error {
	return fn(blob.Info{Key: o.key, Size: int64(len(o.b))})
}

func (o oneObject) Get(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(o.b[off : off+n])), nil
}

// Whatever an object holds, what is salvaged from it has the digests that its
// index says.
func FuzzRebuild(f *testing.F) {
	const id = "01h00000000000000000000000"
	w := pack.NewWriter(group, id, 0)
	for i := range 3 {
		if err := w.Add(command.BodyID(i+300), []byte("layout"), 50, func(p []byte, _ int64) error { p[0] = byte(i); return nil }); err != nil {
			f.Fatal(err)
		}
	}
	good := w.Finish()
	f.Add(good)
	f.Add(good[:len(good)-24])
	f.Add(good[:100])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		err := check.Rebuild(t.Context(), oneObject{key: pack.Key(group, id), b: b}, func(x check.Rebuilt) error {
			for _, e := range x.Entries {
				if e.Off < 0 || e.Len <= 0 || e.Off+e.Len > int64(len(b)) {
					t.Errorf("body %d is said to be at %d+%d of %d", e.Body, e.Off, e.Len, len(b))
				} else if x.Salvaged && sha256.Sum256(b[e.Off:e.Off+e.Len]) != e.SHA256 {
					t.Errorf("body %d was salvaged with other bytes", e.Body)
				}
			}
			if (x.Err == nil) == (len(x.Entries) == 0) && x.Salvaged {
				t.Errorf("%d entries and %v", len(x.Entries), x.Err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
