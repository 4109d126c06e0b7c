package state

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// deliver is shaped like the hot command: two reads, ten rows of which one
// holds 1 KiB.
type deliver struct{ big []byte }

func (m *deliver) Apply(tx Tx, entry []byte) []byte {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var key [40]byte
	key[0] = FirstTable
	for i := range 2 {
		key[1] = byte(i)
		_, err := tx.Get(key[:20])
		must(err)
	}
	for i := range 10 {
		key[1] = byte(i)
		size := 60
		if i > 1 {
			binary.BigEndian.PutUint64(key[2:], uint64(tx.Index()))
		}
		if i == 9 {
			size = len(m.big)
		}
		must(tx.Set(key[:20], m.big[:size]))
	}
	return OK(key[:32])
}

func (m *deliver) Restored() {}

func benchGroup(b *testing.B) *Group {
	s, err := Open(b.TempDir(), vfs.Default, Options{Logger: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeStore(b, s) })
	g, err := s.Group(1, func(*Group) Machine { return &deliver{big: make([]byte, 1024)} })
	if err != nil {
		b.Fatal(err)
	}
	return g
}

// BenchmarkApply gives the time per entry in batches of 1, 8 and 32.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 8, 32} {
		b.Run(fmt.Sprint("batch", n), func(b *testing.B) {
			g := benchGroup(b)
			entries := make([]rookery.Entry, n)
			b.ReportAllocs()
			for i := 0; i < b.N; i += n {
				for k := range entries {
					seq := uint64(i + k + 1)
					h := Header{Node: "node-0123456789", Epoch: 3, Seq: seq, Low: max(seq, 20) - 19, Time: 1}
					entries[k] = rookery.Entry{Index: rookery.LogIndex(seq), Term: 1, Data: Wrap(h, nil)}
				}
				g.Apply(entries)
			}
		})
	}
}

func BenchmarkEnvelope(b *testing.B) {
	h := Header{Node: "node-0123456789", Epoch: 3, Seq: 1 << 20, Low: 1 << 19, Time: 1 << 60}
	body := make([]byte, 4096)
	data := Wrap(h, body)
	b.Run("wrap", func(b *testing.B) {
		for b.Loop() {
			Wrap(h, body)
		}
	})
	b.Run("unwrap", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := Unwrap(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRead gives the cost of opening a view, of a point read in it,
// and of a short scan.
func BenchmarkRead(b *testing.B) {
	g := benchGroup(b)
	for i := range uint64(20000) {
		h := Header{Node: "n", Epoch: 3, Seq: i + 1, Time: 1}
		g.Apply([]rookery.Entry{{Index: rookery.LogIndex(i + 1), Term: 1, Data: Wrap(h, nil)}})
	}
	key := make([]byte, 20)
	key[0], key[1] = FirstTable, 5
	binary.BigEndian.PutUint64(key[2:], 700)
	to := append([]byte(nil), key...)
	binary.BigEndian.PutUint64(to[2:], 800)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			g.Read().Close()
		}
	})
	b.Run("get", func(b *testing.B) {
		s := g.Read()
		defer s.Close()
		for b.Loop() {
			if v, err := s.Get(key); err != nil || v == nil {
				b.Fatal(v, err)
			}
		}
	})
	b.Run("scan100", func(b *testing.B) {
		s := g.Read()
		defer s.Close()
		for b.Loop() {
			n := 0
			if err := s.Scan(key, to, func(_, _ []byte) (bool, error) { n++; return true, nil }); err != nil || n != 100 {
				b.Fatal(n, err)
			}
		}
	})
}
