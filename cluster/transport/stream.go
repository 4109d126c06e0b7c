package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"rookery"
)

// A bulk stream or a tunnel is a connection of its own. After the welcome the
// client sends
//
//	sort(1) | name length(1) | name | header length(4 BE) | header
//
// and the server answers status(1) | length(4 BE) | failure. A tunnel is raw
// bytes from there on, a bulk stream is chunks.
const (
	sortStream byte = 's'
	sortTunnel byte = 't'
)

func (t *Transport) serveStream(c *conn, entered func()) {
	err := t.welcomeBriefly(c)
	var sort byte
	var name string
	var header []byte
	if err == nil {
		sort, name, header, err = readOpening(c)
	}
	entered()
	if err != nil {
		c.cut()
		return
	}
	defer c.Close()
	switch sort {
	case sortStream:
		t.serveBulk(c, name, header)
	case sortTunnel:
		t.serveTunnel(c, name, header)
	}
}

// welcomeBriefly keeps the deadline: the opening must follow soon.
func (t *Transport) welcomeBriefly(c *conn) error {
	_, err := c.Write([]byte{welcome})
	return err
}

func opening(sort byte, name string, header []byte) []byte {
	b := append([]byte{sort, byte(len(name))}, name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(header)))
	return append(b, header...)
}

func readOpening(r io.Reader) (sort byte, name string, header []byte, err error) {
	var b [2 + 255 + 4]byte
	if _, err = io.ReadFull(r, b[:2]); err != nil {
		return 0, "", nil, err
	}
	n := int(b[1])
	if (b[0] != sortStream && b[0] != sortTunnel) || n == 0 || n > maxName {
		return 0, "", nil, errFrame
	}
	if _, err = io.ReadFull(r, b[2:2+n+4]); err != nil {
		return 0, "", nil, err
	}
	size := binary.BigEndian.Uint32(b[2+n:])
	if size > MaxHeader {
		return 0, "", nil, errFrame
	}
	header = make([]byte, size)
	_, err = io.ReadFull(r, header)
	return b[0], string(b[2 : 2+n]), header, err
}

func answerOpening(c net.Conn, status byte, kind rookery.Kind, why error) error {
	b := []byte{status}
	var f []byte
	if why != nil {
		f = appendFailure(nil, kind, why)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
	_, err := c.Write(append(b, f...))
	return err
}

// open dials for a stream or a tunnel and waits until it is taken.
func (t *Transport) open(ctx context.Context, sort byte, to rookery.NodeID, name string, header []byte) (*conn, error) {
	if name == "" || len(name) > maxName || len(header) > MaxHeader {
		return nil, failure(to, name, rookery.KindTooLarge, fmt.Errorf("its header may have %d bytes", MaxHeader))
	}
	c, err := t.dialNode(ctx, protoStream, to, nil)
	if err != nil {
		return nil, failure(to, name, rookery.KindUnavailable, err)
	}
	stop := context.AfterFunc(ctx, c.cut)
	err = func() error {
		c.SetDeadline(time.Now().Add(t.opts.HandshakeTimeout))
		if _, err := c.Write(opening(sort, name, header)); err != nil {
			return failure(to, name, rookery.KindUnavailable, err)
		}
		return readAnswer(c, to, name)
	}()
	if !stop() && err == nil {
		err = failure(to, name, rookery.KindUnknown, context.Cause(ctx))
	}
	if err != nil {
		c.cut()
		return nil, err
	}
	return c, c.SetDeadline(time.Time{})
}

func readAnswer(r io.Reader, to rookery.NodeID, name string) error {
	var b [5]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return failure(to, name, rookery.KindUnknown, err)
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n > maxText+1 {
		return failure(to, name, rookery.KindUnknown, errFrame)
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		return failure(to, name, rookery.KindUnknown, err)
	}
	if b[0] == statusOK {
		return nil
	}
	return refusal(to, name, p)
}
