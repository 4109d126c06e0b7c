package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"rookery"
)

// FuzzOpening reads any bytes as the opening of a stream or tunnel.
func FuzzOpening(f *testing.F) {
	f.Add(opening(sortStream, "data", []byte("head")))
	f.Add(opening(sortTunnel, "imap", nil))
	f.Add([]byte{'s', 1, 'x', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		sort, name, header, err := readOpening(r)
		if err != nil {
			return
		}
		if again := opening(sort, name, header); !bytes.Equal(again, data[:len(data)-r.Len()]) {
			t.Fatalf("%x reads as %x", data, again)
		}
	})
}

// FuzzBulk reads any bytes as a bulk stream: io.EOF comes only after the end
// mark, everything else is an error with a kind.
func FuzzBulk(f *testing.F) {
	chunk := func(b ...byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	end := binary.BigEndian.AppendUint32(nil, endMark)
	fail := append(binary.BigEndian.AppendUint32(nil, failMark), chunk(byte(rookery.KindDamaged), 'x')...)
	f.Add(append(chunk(1, 2, 3), end...))
	f.Add(append(append(chunk(1), chunk()...), fail...))
	f.Add(chunk(1, 2, 3))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		s := &bulkReader{ctx: context.Background(), r: r, conn: &conn{Conn: tls.Client(deadless{}, &tls.Config{})}}
		got, err := io.ReadAll(s)
		if len(got) > len(data) {
			t.Fatal("more came out than went in")
		}
		if err == nil && !bytes.Contains(data, end) {
			t.Fatal("a stream ended without its end")
		}
		if err != nil && len(data) < 8 && rookery.KindOf(err) != rookery.KindUnavailable {
			t.Fatalf("a stream cut off is of kind %v", rookery.KindOf(err))
		}
	})
}

// deadless is a connection that only takes deadlines.
type deadless struct{ net.Conn }

func (deadless) SetReadDeadline(time.Time) error { return nil }
