package body

import (
	"bytes"
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery/storage/keys"
	"rookery/storage/message/messagetest"
)

func FuzzLayout(f *testing.F) {
	for _, size := range []int{0, 5, ChunkSize + 1} {
		l := Layout{Version: 1, PlainSize: int64(size), ExtractLen: 7}
		for range chunksOf(int64(size)) {
			l.ChunkLens = append(l.ChunkLens, minChunk)
		}
		b, err := l.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var l Layout
		if l.UnmarshalBinary(b) != nil {
			return
		}
		again, err := l.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back Layout
		if err := back.UnmarshalBinary(again); err != nil || !cmp.Equal(l, back) {
			t.Fatalf("%+v became %+v, %v", l, back, err)
		}
		r := NewReader(l, keys.MessageKey{}, Only(func(context.Context, []byte, int64) error { return nil }))
		if _, err := r.ReadAt(context.Background(), make([]byte, 10), 0); err == nil {
			t.Error("read something out of nothing")
		}
		r.Close()
	})
}

func FuzzOpen(f *testing.F) {
	key := keys.MessageKey{2}
	e, err := ExtractFrom(context.Background(), bytes.NewReader(messagetest.Sample(2<<10)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(Seal(e, key), appendExtract(nil, e))
	f.Add([]byte{}, []byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, sealed, plain []byte) {
		// Only what Seal made opens, and the seed is the only such input.
		if o, err := Open(sealed, key); err == nil && !cmp.Equal(o, e) {
			t.Error("opened what was never sealed")
		}
		if got, ok := parseExtract(plain); ok {
			again, ok := parseExtract(appendExtract(nil, got))
			if !ok {
				t.Fatal("does not read what it wrote")
			}
			if len(got.Header) > 0 && !cmp.Equal(got, again) {
				t.Error(cmp.Diff(got, again))
			}
		}
	})
}

// FuzzSeal wants the extract of any message to come back as it was sealed.
func FuzzSeal(f *testing.F) {
	f.Add(messagetest.Sample(2 << 10))
	f.Fuzz(func(t *testing.T, msg []byte) {
		e := extractText(t, string(msg))
		key := keys.MessageKey{1}
		back, err := Open(Seal(e, key), key)
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Header) == 0 {
			e.Header, back.Header = nil, nil
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Fatal(diff)
		}
	})
}
