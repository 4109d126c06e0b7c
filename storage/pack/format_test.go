package pack

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
	"rookery/storage/command"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func from(b []byte) func(p []byte, off int64) error {
	return func(p []byte, off int64) error { copy(p, b[off:]); return nil }
}

func sample(t testing.TB, sizes ...int) (object []byte, bodies [][]byte) {
	w := NewWriter(7, "01abc", 0)
	for i, n := range sizes {
		b := random(n)
		if err := w.Add(command.BodyID(100+i), []byte{1, byte(i)}, int64(n), from(b)); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, b)
	}
	return w.Finish(), bodies
}

func TestFormat(t *testing.T) {
	object, bodies := sample(t, 1, 1000, 70_000)
	x, err := Parse(object)
	if err != nil {
		t.Fatal(err)
	}
	if x.Group != 7 || x.ID != "01abc" || x.Size != int64(len(object)) || len(x.Entries) != 3 {
		t.Fatalf("%+v", x)
	}
	for i, e := range x.Entries {
		if e.Body != command.BodyID(100+i) || !bytes.Equal(e.Layout, []byte{1, byte(i)}) ||
			!bytes.Equal(object[e.Off:e.Off+e.Len], bodies[i]) {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	empty := NewWriter(1, "x", 0).Finish()
	if x, err := Parse(empty); err != nil || len(x.Entries) != 0 {
		t.Errorf("an empty pack: %+v, %v", x, err)
	}
}

func TestWriterForgetsABodyThatCannotBeRead(t *testing.T) {
	w := NewWriter(1, "x", 0)
	broken := errors.New("broken")
	if err := w.Add(1, nil, 10, func([]byte, int64) error { return broken }); err != broken {
		t.Errorf("%v", err)
	}
	if err := w.Add(2, nil, 3, from([]byte("abc"))); err != nil {
		t.Fatal(err)
	}
	x, err := Parse(w.Finish())
	if err != nil || len(x.Entries) != 1 || x.Entries[0].Body != 2 {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestEveryDamageIsSeen(t *testing.T) {
	object, _ := sample(t, 50, 60)
	for i := range object {
		bad := bytes.Clone(object)
		bad[i] ^= 0x10
		if _, err := Parse(bad); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("a flipped bit at %d of %d: %v", i, len(object), err)
		}
		if _, err := Parse(object[:i]); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := Parse(append(bytes.Clone(object), 0)); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("a byte behind the end: %v", err)
	}
}

func TestStreamMakesTheSamePack(t *testing.T) {
	b := random(200_000)
	w := NewWriter(7, "01abc", 0)
	if err := w.Add(5, []byte("layout"), int64(len(b)), from(b)); err != nil {
		t.Fatal(err)
	}
	want := w.Finish()
	s := NewStream(7, "01abc", 5, []byte("layout"), int64(len(b)), from(b))
	for range 2 {
		got, err := io.ReadAll(iotest.HalfReader(s))
		if err != nil || !bytes.Equal(got, want) || s.Size() != int64(len(want)) {
			t.Fatalf("%d bytes, want %d, %v", len(got), len(want), err)
		}
		if x, _ := Parse(want); cmp.Diff(x.Entries[0], s.Entry()) != "" {
			t.Errorf("entry %+v", s.Entry())
		}
		if _, err := s.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		io.CopyN(io.Discard, s, 1000) // the second time after a half
		s.Seek(0, io.SeekStart)
	}
	broken := errors.New("broken")
	s = NewStream(7, "01abc", 5, nil, 10, func([]byte, int64) error { return broken })
	if _, err := io.ReadAll(s); err != broken || s.Err() != broken {
		t.Errorf("%v, %v", err, s.Err())
	}
}

func TestReadIndexAndVerify(t *testing.T) {
	s, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(key string, b []byte) {
		t.Helper()
		if err := s.Put(t.Context(), key, bytes.NewReader(b), int64(len(b)), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	many := make([]int, 3000) // a footer over firstTail
	for i := range many {
		many[i] = 10
	}
	for _, sizes := range [][]int{{}, {1}, {10, 100_000}, many} {
		object, _ := sample(t, sizes...)
		put("b/00/7/x.pk", object)
		want, err := Parse(object)
		if err != nil {
			t.Fatal(err)
		}
		x, err := ReadIndex(t.Context(), s, "b/00/7/x.pk")
		if err != nil || cmp.Diff(want, x) != "" {
			t.Errorf("%d bodies: %v %s", len(sizes), err, cmp.Diff(want, x))
		}
		if len(sizes) > 10 {
			continue
		}
		if _, err := Verify(t.Context(), s, "b/00/7/x.pk"); err != nil {
			t.Errorf("%d bodies: %v", len(sizes), err)
		}
		if len(sizes) > 0 {
			object[want.Entries[0].Off] ^= 1
			put("b/00/7/x.pk", object)
			if _, err := Verify(t.Context(), s, "b/00/7/x.pk"); !rookery.Is(err, rookery.KindDamaged) {
				t.Errorf("a garbled body: %v", err)
			}
		}
	}
	put("b/00/7/y.pk", []byte("no pack"))
	if _, err := ReadIndex(t.Context(), s, "b/00/7/y.pk"); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("not a pack: %v", err)
	}
	if _, err := ReadIndex(t.Context(), s, "b/00/7/z.pk"); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("no pack: %v", err)
	}
}

func TestNames(t *testing.T) {
	var ids []command.PackID
	for i := range 100 {
		id := NewID(time.UnixMilli(1_700_000_000_000 + int64(i)))
		if err := blob.CheckKey(Key(3, id)); err != nil || len(id) != 26 {
			t.Fatalf("%q: %v", id, err)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Error("ids do not sort by age")
	}
	if a, b := NewID(time.UnixMilli(1)), NewID(time.UnixMilli(1)); a == b {
		t.Error("two ids of one millisecond are equal")
	}
}

func FuzzParse(f *testing.F) {
	object, _ := sample(f, 1, 100)
	f.Add(object)
	f.Add(NewWriter(1, "x", 0).Finish())
	f.Add([]byte(headMagic + tailMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Parse(b)
		if err != nil {
			if !rookery.Is(err, rookery.KindDamaged) {
				t.Errorf("kind of %v", err)
			}
			return
		}
		// What is accepted can be written again and read as the same.
		again := append(append(bytes.Clone(encodeHeader(x.Group, x.ID)), b[HeaderLen(x.ID):]...), nil...)
		if y, err := Parse(again); err != nil || cmp.Diff(x, y) != "" {
			t.Errorf("%v %s", err, cmp.Diff(x, y))
		}
	})
}

func FuzzFooter(f *testing.F) {
	object, _ := sample(f, 1, 100, 5)
	x, _ := Parse(object)
	tail := encodeTail(x.Entries, x.Entries[2].Off+x.Entries[2].Len)
	f.Add(tail[:len(tail)-trailerLen], int64(10), int64(1000))
	f.Add([]byte{0xff, 0xff, 0x03}, int64(0), int64(1<<62))
	f.Fuzz(func(t *testing.T, b []byte, start, end int64) {
		entries, err := parseFooter(b, start, end)
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.Off < start || e.Len <= 0 || e.Off+e.Len > end || e.Off+e.Len < e.Off {
				t.Errorf("%+v lies outside %d..%d", e, start, end)
			}
			start = e.Off + e.Len
		}
	})
}
