// Package proxy carries a session that has signed in to a node that holds the
// account: what goes ahead of it, the answer, and the bytes both ways with a
// bounded part of them in memory. It knows where in the server's bytes a
// farewell may stand.
//
// It never signs anybody in, never chooses a node or opens a connection
// (Nodes does), and understands no command.
package proxy

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/fxamacker/cbor/v2"

	"rookery"
)

// The protocols that are carried.
const (
	IMAP = "imap"
	POP3 = "pop3"
)

// Session is what goes ahead: a client whose password was right.
type Session struct {
	Protocol string            `cbor:"1,keyasint"`
	Account  rookery.AccountID `cbor:"2,keyasint"`
	// Login is the canonical name, for logs.
	Login string `cbor:"3,keyasint"`
	// Address is the person's primary address; empty where there is none.
	Address string `cbor:"4,keyasint,omitempty"`
	// Client is the client's address and port; limits and logs see it.
	Client netip.AddrPort `cbor:"5,keyasint"`
	// TLS says what protects the client's connection, for logs.
	TLS string `cbor:"6,keyasint,omitempty"`
}

// Nodes is the way to nodes that hold an account.
type Nodes interface {
	// Here reports whether this node serves the account's group now.
	Here(ctx context.Context, id rookery.AccountID) (bool, error)
	// Open begins the session on a node that does and gives what that node
	// answered. KindUnavailable: none can be reached now; KindLimit and
	// KindDisabled are a node's verdict.
	Open(ctx context.Context, s Session) (net.Conn, string, error)
}

// answer is how a node receives a session.
type answer struct {
	OK   bool         `cbor:"1,keyasint,omitempty"`
	Kind rookery.Kind `cbor:"2,keyasint,omitempty"`
	Text string       `cbor:"3,keyasint,omitempty"`
}

const maxAnswer = 16 << 10

// WriteAnswer tells the node before how its session was received: the text
// that the protocol wants, or why not.
func WriteAnswer(w io.Writer, text string, refusal error) error {
	a := answer{OK: refusal == nil, Text: text}
	if refusal != nil {
		a.Kind, a.Text = rookery.KindOf(refusal), refusal.Error()
	}
	if len(a.Text) > maxAnswer/2 {
		a.Text = a.Text[:maxAnswer/2]
	}
	b, err := cbor.Marshal(a)
	if err != nil {
		return rookery.E("answer session", rookery.KindInvalid, err)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// ReadAnswer reads it. An error has the other node's kind; where it was not
// heard, KindUnavailable: nothing was said in the session yet.
func ReadAnswer(r io.Reader) (string, error) {
	const op = "begin session on another node"
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", rookery.E(op, rookery.KindUnavailable, err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxAnswer {
		return "", rookery.E(op, rookery.KindUnavailable, fmt.Errorf("its answer has %d bytes", n))
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", rookery.E(op, rookery.KindUnavailable, err)
	}
	var a answer
	if err := cbor.Unmarshal(b, &a); err != nil {
		return "", rookery.E(op, rookery.KindUnavailable, err)
	}
	if !a.OK {
		return "", rookery.E(op, a.Kind, errors.New(a.Text))
	}
	return a.Text, nil
}

// Conn is a tunnel that shows the client at its far end.
type Conn struct {
	net.Conn
	client net.Addr
}

// NewConn makes one.
func NewConn(tunnel net.Conn, s Session) *Conn {
	return &Conn{tunnel, net.TCPAddrFromAddrPort(s.Client)}
}

// RemoteAddr is the client's.
func (c *Conn) RemoteAddr() net.Addr { return c.client }

// NetConn is what lies below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// TLSOf names what protects a connection, for logs; empty: nothing.
func TLSOf(c net.Conn) string {
	t, ok := c.(*tls.Conn)
	if !ok {
		return ""
	}
	state := t.ConnectionState()
	return tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
}

// ClientOf is the address of a connection's client.
func ClientOf(c net.Conn) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
