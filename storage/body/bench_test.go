package body

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"rookery/storage/keys"
	"rookery/storage/message/messagetest"
)

func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			msg := messagetest.Sample(size)
			key := keys.NewMessageKey()
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			stored := 0
			for b.Loop() {
				stored = 0
				enc, err := Encode(context.Background(), bytes.NewReader(msg), key, func(c []byte) error { stored += len(c); return nil })
				if err != nil {
					b.Fatal(err)
				}
				stored += len(enc.Sealed)
			}
			b.ReportMetric(float64(len(msg))/float64(stored), "ratio")
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	e := extractText(b, string(messagetest.Sample(4<<10)))
	key := keys.NewMessageKey()
	b.ReportAllocs()
	for b.Loop() {
		Seal(e, key)
	}
}

func BenchmarkOpen(b *testing.B) {
	key := keys.NewMessageKey()
	sealed := Seal(extractText(b, string(messagetest.Sample(4<<10))), key)
	b.SetBytes(int64(len(sealed)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(sealed, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	msg := messagetest.Sample(1 << 20)
	key := keys.NewMessageKey()
	layout, stored, _ := encodeBytes(b, msg, key)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(layout, key, fromBytes(stored))
		if err := r.Verify(context.Background()); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}
