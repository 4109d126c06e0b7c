package body

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"rookery"
)

// testDictionary makes a dictionary of what sample mail has in common.
func testDictionary(t testing.TB, id uint32) []byte {
	t.Helper()
	var samples [][]byte
	for i := range 20 {
		samples = append(samples, sampleMail(2000+100*i))
	}
	b, err := zstd.BuildDict(zstd.BuildDictOptions{ID: id, Contents: samples, History: sampleMail(4 << 10), Offsets: [3]int{1, 4, 8}, Level: zstd.SpeedFastest})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newTestDictionary(t testing.TB, id uint32) *Dictionary {
	t.Helper()
	d, err := NewDictionary(testDictionary(t, id))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func encodeWith(t testing.TB, msg []byte, key MessageKey, d *Dictionary) (Layout, []byte, Encoded) {
	t.Helper()
	var stored []byte
	enc, err := EncodeWith(context.Background(), bytes.NewReader(msg), key, d, func(c []byte) error {
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

func TestDictionaryReadsBack(t *testing.T) {
	ctx := context.Background()
	d, other := newTestDictionary(t, 17), newTestDictionary(t, 18)
	rnd := rand.New(rand.NewPCG(7, 8))
	noise := make([]byte, ChunkSize+100)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	for _, msg := range [][]byte{nil, []byte("a"), sampleMail(3000), sampleMail(4*ChunkSize + 3), noise, append(sampleMail(40<<10), noise...)} {
		key := NewMessageKey()
		layout, stored, enc := encodeWith(t, msg, key, d)
		if layout.Dictionary != 17 || SealedWith(enc.Sealed) != 17 {
			t.Fatalf("a body names dictionary %d, its extract %d", layout.Dictionary, SealedWith(enc.Sealed))
		}
		b, err := layout.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back Layout
		if err := back.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		r := NewReaderWith(back, key, d, fromBytes(stored))
		if err := r.Verify(ctx); err != nil {
			t.Fatalf("%d bytes: %v", len(msg), err)
		}
		for _, wrong := range []*Dictionary{nil, other} {
			if err := NewReaderWith(back, key, wrong, fromBytes(stored)).Verify(ctx); !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("reading with dictionary %d: %v", wrong.ID(), err)
			}
			if _, err := OpenWith(enc.Sealed, key, wrong); !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("opening with dictionary %d: %v", wrong.ID(), err)
			}
		}
		e, err := OpenWith(enc.Sealed, key, d)
		if err != nil || !reflect.DeepEqual(e, enc.Extract) {
			t.Errorf("the extract opens as another: %v", err)
		}
		if h, err := OpenHeaderWith(enc.Sealed, key, d); err != nil || !bytes.Equal(h.Header, enc.Extract.Header) {
			t.Errorf("the header opens as another: %v", err)
		}
		// What is stored without one reads with one at hand.
		layout, stored, enc = encodeWith(t, msg, key, nil)
		if err := NewReaderWith(layout, key, d, fromBytes(stored)).Verify(ctx); err != nil {
			t.Error(err)
		}
		if _, err := OpenWith(enc.Sealed, key, d); err != nil {
			t.Error(err)
		}
	}
}

// TestDictionaryTrailingExtract reads an extract that is stored with the body.
func TestDictionaryTrailingExtract(t *testing.T) {
	d, key := newTestDictionary(t, 17), NewMessageKey()
	var msg bytes.Buffer
	for i := range 4000 {
		fmt.Fprintf(&msg, "X-%x: %x\r\n", i*7919, i*104729)
	}
	msg.WriteString("\r\nhello\r\n")
	layout, stored, enc := encodeWith(t, msg.Bytes(), key, d)
	if !enc.Trailing {
		t.Fatal("the extract is not large enough for this test")
	}
	e, err := NewReaderWith(layout, key, d, fromBytes(stored)).Extract(context.Background())
	if err != nil || !reflect.DeepEqual(e, enc.Extract) {
		t.Errorf("the extract opens as another: %v", err)
	}
}

// TestDictionaryShrinks wants a dictionary to be of use, and never of harm.
func TestDictionaryShrinks(t *testing.T) {
	d := newTestDictionary(t, 17)
	msg := sampleMail(2000)
	without, with := (*Dictionary)(nil).Packed(msg), d.Packed(msg)
	if with > without*2/3 {
		t.Errorf("%d bytes take %d without a dictionary and %d with it", len(msg), without, with)
	}
	key := NewMessageKey()
	_, stored, _ := encodeWith(t, msg, key, d)
	if len(stored) != with+tagLen {
		t.Errorf("the body takes %d bytes, Packed says %d", len(stored), with)
	}
	if n := d.Packed([]byte{0, 1, 2}); n > 4 {
		t.Errorf("3 bytes take %d", n)
	}
}

func TestDictionaryConcurrently(t *testing.T) {
	d := newTestDictionary(t, 17)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			msg, key := sampleMail(1000+997*i), NewMessageKey()
			for range 20 {
				layout, stored, _ := encodeWith(t, msg, key, d)
				if err := NewReaderWith(layout, key, d, fromBytes(stored)).Verify(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestNewDictionaryRefuses(t *testing.T) {
	good := testDictionary(t, 17)
	for name, b := range map[string][]byte{
		"nothing":   nil,
		"text":      []byte(strings.Repeat("Received: from ", 100)),
		"cut short": good[:60],
		"too large": append(slices.Clone(good), make([]byte, MaxDictionary)...),
		"no id":     append([]byte(good[:4:4]), append([]byte{0, 0, 0, 0}, good[8:]...)...),
	} {
		if _, err := NewDictionary(b); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSealedDictionary(t *testing.T) {
	ring := GenerateKeyring()
	b := testDictionary(t, 17)
	sealed, err := ring.SealDictionary(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+16 <= len(b); i += 16 {
		if bytes.Contains(sealed, b[i:i+16]) {
			t.Fatal("a sealed dictionary shows content")
		}
	}
	if d, err := ring.OpenDictionary(17, sealed); err != nil || d.ID() != 17 || d.Size() != len(b) {
		t.Errorf("it opens as %v: %v", d, err)
	}
	if _, err := ring.OpenDictionary(18, sealed); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("it opens under another id: %v", err)
	}
	ring.Rotate()
	again, err := ring.ResealDictionary(17, sealed)
	if err != nil {
		t.Fatal(err)
	}
	for want, s := range map[uint32][]byte{1: sealed, 2: again} {
		if v, err := DictionaryKey(s); err != nil || v != want {
			t.Errorf("sealed under version %d, %v; want %d", v, err, want)
		}
	}
	if err := ring.Destroy(1); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.OpenDictionary(17, sealed); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("it opens without its key: %v", err)
	}
	if _, err := ring.OpenDictionary(17, again); err != nil {
		t.Error(err)
	}
	again[len(again)-1]++
	if _, err := ring.OpenDictionary(17, again); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("a changed one opens: %v", err)
	}
	for _, bad := range [][]byte{nil, {1}, {2, 1, 2}, {1, 0xff}} {
		if _, err := DictionaryKey(bad); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("%x has a key: %v", bad, err)
		}
	}
}

// FuzzNewDictionary reads what is no dictionary, and uses what is one.
func FuzzNewDictionary(f *testing.F) {
	f.Add(testDictionary(f, 17), []byte("Subject: hello\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b, msg []byte) {
		d, err := NewDictionary(b)
		if err != nil {
			return
		}
		msg = msg[:min(len(msg), ChunkSize)]
		var buf chunkBuffer
		packed := bytes.Clone(pack(buf[:0], msg, d))
		out, ok := unpack(buf[:0:ChunkSize], packed, d)
		if !ok || !bytes.Equal(out, msg) {
			t.Fatalf("%d bytes do not come back", len(msg))
		}
	})
}

// FuzzUnpackDictionary reads hostile frames: whoever has a message key may make
// one.
func FuzzUnpackDictionary(f *testing.F) {
	d := newTestDictionary(f, 17)
	f.Add(pack(nil, sampleMail(900), d))
	f.Add([]byte{codecDictionary, 0x28, 0xb5, 0x2f, 0xfd, 0xa1, 17, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, src []byte) {
		out, ok := unpack(make([]byte, 0, ChunkSize), src, d)
		if ok && len(out) > ChunkSize {
			t.Fatalf("%d bytes out of one chunk", len(out))
		}
		SealedWith(src)
		OpenWith(append([]byte{sealDictionary, 17}, src...), MessageKey{}, d)
	})
}
