package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"rookery/cluster/transport/identity"
	"testing"
	"time"

	"rookery"
)

// wire is a connection that reads given bytes and swallows what is written.
type wire struct {
	net.Conn
	r io.Reader
}

func (w wire) Read(p []byte) (int, error)     { return w.r.Read(p) }
func (w wire) Write(p []byte) (int, error)    { return len(p), nil }
func (wire) SetReadDeadline(time.Time) error  { return nil }
func (wire) SetWriteDeadline(time.Time) error { return nil }
func frameBytes(kind byte, call uint32, p []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, call)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
}

// FuzzServeCalls plays any bytes to the answering end: whatever comes, it
// neither panics nor calls a handler with another body than announced, nor
// keeps anything afterwards.
func FuzzServeCalls(f *testing.F) {
	head := requestHead{total: 3, name: "echo"}.appendTo(nil)
	f.Add(frameBytes(frameRequest, 1, append(head, "abc"...)))
	f.Add(append(frameBytes(frameRequest, 1, append(head, "a"...)), frameBytes(frameMore, 1, []byte("bc"))...))
	f.Add(append(frameBytes(frameRequest, 1, append(head, "a"...)), frameBytes(frameCancel, 1, nil)...))
	f.Add(append(frameBytes(framePing, 0, nil),
		frameBytes(frameRequest, 2, requestHead{total: MaxBody, name: "echo", timeout: time.Second}.appendTo(nil))...))
	f.Add(frameBytes(frameResponse, 1, []byte{0, 0}))
	f.Add([]byte{frameRequest, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		tr := bare(t)
		tr.Handle("echo", func(_ context.Context, _ rookery.NodeID, body []byte) ([]byte, error) { return body, nil })
		s := tr.newCallServer("peer", wire{}, func() {})
		s.w = newFrameWriter(wire{}, func() {})
		err := s.read(wire{r: bytes.NewReader(data)})
		if err == nil {
			t.Fatal("reading ended without an error")
		}
		for _, q := range s.partial {
			if len(q.data) >= q.want && q.want > 0 {
				t.Fatal("a complete request was kept")
			}
		}
		s.cancel()
		tr.Close(context.Background())
		held := 0
		for _, q := range s.partial {
			held += q.want
		}
		if s.bytes != held {
			t.Fatalf("%d bytes are held for %d", s.bytes, held)
		}
	})
}

// FuzzAnswers plays any bytes to the calling end.
func FuzzAnswers(f *testing.F) {
	f.Add(frameBytes(frameResponse, 1, append(appendResponseHead(nil, statusOK, 3), "abc"...)))
	f.Add(append(frameBytes(frameResponse, 1, append(appendResponseHead(nil, statusOK, 3), "a"...)),
		frameBytes(frameMore, 1, []byte("bc"))...))
	f.Add(frameBytes(frameResponse, 1, appendFailure(appendResponseHead(nil, statusError, 4), rookery.KindLimit, errors.New("why"))))
	f.Add(append(frameBytes(frameGoAway, 0, nil), frameBytes(framePong, 0, nil)...))
	f.Add(frameBytes(frameMore, 1, []byte("abc")))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &caller{calls: map[uint32]*call{}}
		_, k := c.register()
		r := newFrameReader(bytes.NewReader(data))
		for {
			fr, err := r.next()
			if err != nil {
				break
			}
			if fr.kind == frameResponse || fr.kind == frameMore {
				if c.answered(fr) != nil {
					break
				}
			}
		}
		select {
		case err := <-k.answer:
			if len(k.data) != k.want {
				t.Fatalf("answered with %d bytes of %d", len(k.data), k.want)
			}
			k.result("peer", "echo", err)
		default:
		}
	})
}

func bare(t testing.TB) *Transport {
	tr, err := New(Options{
		Credentials: identity.NewCredentials(&identity.Identity{Node: "n", Cluster: "c"}), Logger: slog.New(slog.DiscardHandler),
		Addresses: func(rookery.NodeID) (string, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}
