package body

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/message"
	"rookery/storage/message/messagetest"
)

// encodeBytes encodes a message and gives its layout and everything emitted.
func encodeBytes(t testing.TB, msg []byte, key keys.MessageKey) (Layout, []byte, Encoded) {
	t.Helper()
	var stored []byte
	enc, err := Encode(context.Background(), bytes.NewReader(msg), key, func(c []byte) error {
		if len(c) > ChunkSize+64 {
			t.Errorf("a piece of %d bytes", len(c))
		}
		stored = append(stored, c...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return enc.Layout, stored, enc
}

// fromBytes reads encoded bytes from memory.
func fromBytes(stored []byte) Source {
	return Only(func(_ context.Context, p []byte, off int64) error {
		if off < 0 || off+int64(len(p)) > int64(len(stored)) {
			return errors.New("asked beyond the encoded body")
		}
		copy(p, stored[off:])
		return nil
	})
}

func TestEncodeReadsBack(t *testing.T) {
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 5*ChunkSize)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	for _, size := range []int{0, 1, 17, ChunkSize - 1, ChunkSize, ChunkSize + 1, 2 * ChunkSize, 3*ChunkSize + 77} {
		for _, msg := range [][]byte{noise[:size], bytes.Repeat([]byte("From the desk of\r\n"), size/18+1)[:size]} {
			key := keys.NewMessageKey()
			layout, stored, enc := encodeBytes(t, msg, key)
			if enc.SHA256 != sha256.Sum256(msg) || enc.Size != int64(size) || layout.EncodedSize() != int64(len(stored)) {
				t.Fatalf("size %d, layout %+v, stored %d", enc.Size, layout, len(stored))
			}
			b, err := layout.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			var back Layout
			if err := back.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(layout, back); diff != "" {
				t.Fatal(diff)
			}
			r := NewReader(back, key, fromBytes(stored))
			if err := r.Verify(ctx); err != nil {
				t.Fatal(err)
			}
			for range 40 {
				off := rnd.Int64N(int64(size) + 1)
				n := rnd.Int64N(int64(size) + 10 - off)
				readRange(t, r, msg, off, n)
			}
			readRange(t, r, msg, 0, int64(size)+1)
			if err := iotest.TestReader(r.Section(ctx, message.Section{Offset: 0, Len: int64(size)}), msg); err != nil && size < ChunkSize {
				t.Error(err)
			}
			r.Close()
		}
	}
}

func readRange(t *testing.T, r *Reader, msg []byte, off, n int64) {
	t.Helper()
	ctx := context.Background()
	want := msg[off:min(off+n, int64(len(msg)))]
	p := make([]byte, n)
	k, err := r.ReadAt(ctx, p, off)
	if !bytes.Equal(p[:k], want) || (err == nil) != (len(want) == len(p)) || (err != nil && err != io.EOF) {
		t.Fatalf("ReadAt(%d, %d) of %d: %d bytes, %v", off, n, len(msg), k, err)
	}
	got, err := r.ReadSection(ctx, message.Section{Offset: off, Len: n})
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("ReadSection(%d, %d) of %d: %d bytes, %v", off, n, len(msg), len(got), err)
	}
	var w bytes.Buffer
	if k, err := r.WriteSection(ctx, &w, message.Section{Offset: off, Len: n}); err != nil || k != int64(len(want)) ||
		!bytes.Equal(w.Bytes(), want) {
		t.Fatalf("WriteSection(%d, %d) of %d: %d bytes, %v", off, n, len(msg), k, err)
	}
	got, err = io.ReadAll(iotest.OneByteReader(io.LimitReader(r.Section(ctx, message.Section{Offset: off, Len: n}), 100)))
	if err != nil || !bytes.Equal(got, want[:min(len(want), 100)]) {
		t.Fatalf("Section(%d, %d) of %d: %d bytes, %v", off, n, len(msg), len(got), err)
	}
}

func TestReaderRefusesDamage(t *testing.T) {
	ctx := context.Background()
	msg := messagetest.Sample(3*ChunkSize + 100)
	key := keys.NewMessageKey()
	layout, stored, _ := encodeBytes(t, msg, key)
	read := func(l Layout, key keys.MessageKey, stored []byte) error {
		r := NewReader(l, key, fromBytes(stored))
		defer r.Close()
		_, err := r.ReadSection(ctx, message.Section{Offset: 0, Len: l.PlainSize})
		return err
	}
	if err := read(layout, key, stored); err != nil {
		t.Fatal(err)
	}
	damage := map[string]func() error{
		"a bit": func() error {
			s := bytes.Clone(stored)
			s[len(s)/2] ^= 4
			return read(layout, key, s)
		},
		"another key": func() error { return read(layout, keys.NewMessageKey(), stored) },
		"chunks exchanged": func() error {
			s := bytes.Clone(stored)
			l := layout
			a, b := int(l.ChunkLens[0]), int(l.ChunkLens[1])
			copy(s, stored[a:a+b])
			copy(s[b:], stored[:a])
			l.ChunkLens = append([]uint32{uint32(b), uint32(a)}, l.ChunkLens[2:]...)
			return read(l, key, s)
		},
		"cut at a chunk": func() error {
			l := layout
			l.ChunkLens, l.PlainSize = l.ChunkLens[:2], 2*ChunkSize
			return read(l, key, stored)
		},
		"shorter last chunk": func() error {
			l := layout
			l.PlainSize--
			return read(l, key, stored)
		},
		"too few chunks": func() error {
			l := layout
			l.ChunkLens = l.ChunkLens[1:]
			return read(l, key, stored)
		},
		"another salt": func() error {
			l := layout
			l.Salt[0] ^= 1
			return read(l, key, stored)
		},
		"another digest": func() error {
			l := layout
			l.Digest[0] ^= 1
			return NewReader(l, key, fromBytes(stored)).Verify(ctx)
		},
	}
	for name, do := range damage {
		if err := do(); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	away := errors.New("away")
	r := NewReader(layout, key, Only(func(context.Context, []byte, int64) error { return away }))
	if _, err := r.ReadAt(ctx, make([]byte, 1), 0); err != away {
		t.Errorf("the error of at became %v", err)
	}
}

func TestEncodeErrors(t *testing.T) {
	broken := rookery.E("spool", rookery.KindUnavailable, errors.New("disk"))
	if _, err := Encode(context.Background(), iotest.ErrReader(broken), keys.MessageKey{}, nil); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("reader: %v", err)
	}
	_, err := Encode(context.Background(), strings.NewReader("a"), keys.MessageKey{}, func([]byte) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("emit: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Encode(ctx, strings.NewReader("a"), keys.MessageKey{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("context: %v", err)
	}
}

func TestTrailingExtract(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	var h strings.Builder
	for h.Len() < 200<<10 {
		h.WriteString("X-Noise: ")
		for range 60 {
			h.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[rnd.IntN(64)])
		}
		h.WriteString("\r\n")
	}
	msg := []byte(h.String() + "Subject: large\r\n\r\nbody\r\n")
	key := keys.NewMessageKey()
	layout, stored, enc := encodeBytes(t, msg, key)
	if !enc.Trailing || enc.Sealed != nil || layout.ExtractLen == 0 || layout.EncodedSize() != int64(len(stored)) {
		t.Fatalf("trailing %v, sealed %d, layout %+v", enc.Trailing, len(enc.Sealed), layout)
	}
	r := NewReader(layout, key, fromBytes(stored))
	e, err := r.Extract(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(enc.Extract, e); diff != "" {
		t.Error(diff)
	}
	if err := r.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	small, _, enc := encodeBytes(t, []byte("Subject: a\r\n\r\n"), key)
	if enc.Trailing || small.ExtractLen != 0 || len(enc.Sealed) == 0 {
		t.Errorf("small: %+v", enc)
	}
}

func TestSaltKeepsNoncesApart(t *testing.T) {
	key := keys.NewMessageKey()
	_, a, _ := encodeBytes(t, []byte("same"), key)
	_, b, _ := encodeBytes(t, []byte("same"), key)
	if bytes.Equal(a, b) {
		t.Error("two encodings under one key are equal")
	}
}

func TestEncodeConcurrently(t *testing.T) {
	for i := range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			msg := messagetest.Sample((i + 1) * 30_000)
			key := keys.NewMessageKey()
			layout, stored, enc := encodeBytes(t, msg, key)
			r := NewReader(layout, key, fromBytes(stored))
			defer r.Close()
			if err := r.Verify(context.Background()); err != nil {
				t.Error(err)
			}
			if e, err := Open(enc.Sealed, key); err != nil || !cmp.Equal(e, enc.Extract) {
				t.Errorf("extract: %v", err)
			}
		})
	}
}
