package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"rookery/cluster/transport/identity"
	"slices"
	"strconv"
	"strings"
	"time"

	"rookery"
)

// The one byte with which every connection but a joiner's is welcomed. In
// TLS 1.3 a client's handshake succeeds before its certificate was looked
// at; only after this byte does it know that it was let in.
const (
	welcome     byte = 'W'
	refuseGroup byte = 'g' // no such group, or no gossip, here
	refuseBusy  byte = 'b' // nobody takes the connection

	// The node was removed for ever, or is of a generation that was lost.
	refuseRemoved byte = 'x'
	refuseForeign byte = 'f' // the node is of another generation
)

func (t *Transport) accept(l net.Listener) {
	for wait := time.Duration(0); ; {
		raw, err := l.Accept()
		if err != nil {
			if t.isClosing() || errors.Is(err, net.ErrClosed) {
				return
			}
			wait = min(max(2*wait, 5*time.Millisecond), time.Second) // out of descriptors
			t.opts.Logger.Warn("connections from other nodes cannot be accepted", "error", err)
			select {
			case <-time.After(wait):
			case <-t.ctx.Done():
				return
			}
			continue
		}
		wait = 0
		host := hostOf(raw.RemoteAddr())
		if !t.doors.enter(host) {
			raw.Close()
			continue
		}
		c := &conn{raw: raw, owner: &t.conns, incoming: true}
		c.Conn = tls.Server(raw, &tls.Config{MinVersion: tls.VersionTLS13, Time: t.opts.Clock, GetConfigForClient: t.serverConfig})
		if !t.conns.add(c) || !t.spawn(func() { t.serve(c, func() { t.doors.leave(host) }) }) {
			t.doors.leave(host)
			c.cut()
		}
	}
}

// serve lets a connection in and hands it to its protocol. entered is called
// when it is known what it is for.
func (t *Transport) serve(c *conn, entered func()) {
	c.SetDeadline(time.Now().Add(t.opts.HandshakeTimeout))
	err := c.HandshakeContext(t.ctx)
	if err != nil {
		entered()
		c.cut()
		if !t.isClosing() && !errors.Is(err, io.EOF) {
			if skipped, now := t.refused.tell(time.Now()); now {
				t.opts.Logger.Warn("a connection was refused", "remote", c.RemoteAddr(), "error", err, "more", skipped)
			}
		}
		return
	}
	state := c.ConnectionState()
	proto, generation, _ := strings.Cut(state.NegotiatedProtocol, "+")
	c.proto = proto
	if c.proto == protoJoin {
		defer entered() // joiners stay within the bounds of handshakes
		t.serveJoin(c)
		return
	}
	_, node, err := identity.NodeOf(state.PeerCertificates[0]) // verified by serverConfig
	if err != nil {
		entered()
		c.cut()
		return
	}
	t.conns.know(c, node, state.PeerCertificates, x509.ExtKeyUsageClientAuth)
	if no := t.refusal(node, generation); no != 0 {
		if skipped, now := t.refused.tell(time.Now()); now {
			t.opts.Logger.Warn("a node that is no member was refused", "node", node, "generation", generation, "remote", c.RemoteAddr(),
				"more", skipped)
		}
		if no == refuseRemoved {
			t.opts.OnReturned(node)
		}
		entered()
		c.Write([]byte{no}) // it may be gone already
		c.Close()
		return
	}
	if t.pinned(node, state.PeerCertificates[0]) != nil { // removed meanwhile: CutOff may not have seen it
		entered()
		c.cut()
		return
	}
	switch c.proto {
	case protoRaft:
		t.serveRaft(c)
		entered()
	case protoGossip:
		t.deliver(c, t.gossipQueue())
		entered()
	case protoRPC:
		entered()
		t.serveCalls(c)
	case protoStream:
		t.serveStream(c, entered)
	default:
		entered()
		c.cut()
	}
}

// welcome ends the time in which a connection says what it is for.
func (t *Transport) welcome(c *conn) error {
	if _, err := c.Write([]byte{welcome}); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// serverConfig is made for every handshake, from the identity and the
// members of that moment.
func (t *Transport) serverConfig(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	id := t.opts.Credentials.Current()
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, Time: t.opts.Clock, SessionTicketsDisabled: true, NextProtos: hello.SupportedProtos}
	if len(hello.SupportedProtos) != 1 {
		return nil, errors.New("the client names no protocol, or several")
	}
	switch proto, _, _ := strings.Cut(hello.SupportedProtos[0], "+"); {
	case proto == protoJoin && t.opts.Join != nil:
		cfg.Certificates = []tls.Certificate{id.JoinCertificate()}
	case slices.Contains([]string{protoRaft, protoRPC, protoStream, protoGossip}, proto):
		cfg.Certificates = []tls.Certificate{id.Certificate()}
		cfg.ClientAuth = tls.RequireAnyClientCert
		cfg.VerifyConnection = func(cs tls.ConnectionState) error { return t.admit(id, cs) }
	default:
		return nil, fmt.Errorf("the client wants protocol %.50q, which is not served", proto)
	}
	return cfg, nil
}

func (t *Transport) admit(id *identity.Identity, cs tls.ConnectionState) error {
	_, node, err := id.Verify(cs.PeerCertificates, t.opts.Clock(), x509.ExtKeyUsageClientAuth)
	if err != nil || t.opts.Removed(node) { // who was removed is told so, after the handshake
		return err
	}
	err = t.pinned(node, cs.PeerCertificates[0])
	if errors.Is(err, errNoMember) {
		t.opts.OnUnknown(node)
	}
	return err
}

var errNoMember = errors.New("it is not a registered member")

// pinned refuses a node that is no member, and one that shows another public
// key than the registry has for it. The authority alone proves nothing: every
// node holds its key, and so does whoever has an old disk.
func (t *Transport) pinned(node rookery.NodeID, cert *x509.Certificate) error {
	const op = "admit node"
	key, ok := t.opts.Member(node)
	if !ok {
		return rookery.E(op, rookery.KindDenied, fmt.Errorf("node %s: %w", node, errNoMember))
	}
	if identity.CertificateKeyHash(cert) != key {
		return rookery.E(op, rookery.KindDenied, fmt.Errorf(
			"the public key is not the one that node %s registered with: its identity was lost and made anew, or somebody has the "+
				"cluster CA's key", node))
	}
	return nil
}

// refusal is what a node that is no member of this generation hears, 0 for one
// that is. A removed node is told so by its own generation and by later ones:
// of two recoveries that know nothing of each other neither ends the other.
func (t *Transport) refusal(node rookery.NodeID, generation string) byte {
	same := generation == t.opts.Generation
	switch {
	case t.opts.Removed(node) && (same || recoveries(generation) < recoveries(t.opts.Generation)):
		return refuseRemoved
	case !same:
		return refuseForeign
	}
	return 0
}

// recoveries is the number a generation begins with.
func recoveries(generation string) uint64 {
	number, _, _ := strings.Cut(generation, "-")
	n, _ := strconv.ParseUint(number, 10, 64) // "" is before the first
	return n
}

// named is a protocol's name in this node's generation.
func (t *Transport) named(proto string) string {
	if t.opts.Generation == "" {
		return proto
	}
	return proto + "+" + t.opts.Generation
}
