package message

import (
	"bytes"
	"fmt"
	"testing"

	"rookery/storage/message/decode"
	"rookery/storage/message/messagetest"
)

func BenchmarkExtract(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			msg := messagetest.Sample(size)
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := extractFrom(bytes.NewReader(msg)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkText(b *testing.B) {
	msg := messagetest.Sample(1 << 20)
	pdf := extractString(b, string(msg)).Structure.Parts[1]
	raw := msg[pdf.BodyOffset : pdf.BodyOffset+pdf.BodyLen]
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := decode.DecodedSize(pdf.Encoding, bytes.NewReader(raw)); err != nil {
			b.Fatal(err)
		}
	}
}
