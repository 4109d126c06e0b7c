package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"rookery/cluster/transport/identity"
	"time"

	"rookery"
)

// ErrRemoved is in the chain when another member says that this node was
// removed from the cluster for ever.
var ErrRemoved = errors.New("it says that this node was removed from the cluster")

// dialNode connects to a node where it is now. preface is sent first. Every
// error is KindUnavailable: nothing else has been said yet.
func (t *Transport) dialNode(ctx context.Context, proto string, to rookery.NodeID, preface []byte) (*conn, error) {
	address, ok := t.opts.Addresses(to)
	if !ok {
		return nil, rookery.E("connect", rookery.KindUnavailable, fmt.Errorf("the address of node %s is not known", to))
	}
	return t.dial(ctx, proto, to, address, preface)
}

// dial connects to an address. An empty to takes any node of the cluster.
func (t *Transport) dial(ctx context.Context, proto string, to rookery.NodeID, address string, preface []byte) (*conn, error) {
	ctx, cancel := t.within(ctx, t.opts.DialTimeout)
	defer cancel()
	c, err := t.connect(ctx, t.named(proto), to, address, preface)
	if err != nil {
		if t.ctx.Err() != nil {
			err = ErrClosed
		}
		return nil, &rookery.Error{Op: "connect", Kind: rookery.KindUnavailable, Err: fmt.Errorf("node %s at %s: %w", to, address, err)}
	}
	return c, nil
}

func (t *Transport) connect(ctx context.Context, proto string, to rookery.NodeID, address string, preface []byte) (*conn, error) {
	raw, err := t.opts.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	id := t.opts.Credentials.Current()
	c := &conn{raw: raw, owner: &t.conns, proto: proto}
	c.Conn = tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS13, Time: t.opts.Clock, NextProtos: []string{proto}, Certificates: []tls.Certificate{id.Certificate()},
		InsecureSkipVerify: true, // names are nodes, not hosts: VerifyConnection checks everything
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, node, err := id.Verify(cs.PeerCertificates, t.opts.Clock(), x509.ExtKeyUsageServerAuth)
			if err == nil && to != "" && node != to {
				err = fmt.Errorf("node %s answers at this address", node)
			}
			if err == nil {
				err = t.pinned(node, cs.PeerCertificates[0])
			}
			if err == nil && cs.NegotiatedProtocol != proto {
				err = fmt.Errorf("protocol %s is not spoken there", proto)
			}
			return err
		},
	})
	if !t.conns.add(c) {
		raw.Close()
		return nil, ErrClosed
	}
	stop := context.AfterFunc(ctx, c.cut)
	err = t.enter(ctx, c, preface)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.cut()
		return nil, err
	}
	return c, nil
}

// enter does the handshake and waits to be welcome.
func (t *Transport) enter(ctx context.Context, c *conn, preface []byte) error {
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	certs := c.ConnectionState().PeerCertificates
	_, node, err := identity.NodeOf(certs[0])
	if err != nil {
		return err
	}
	t.conns.know(c, node, certs, x509.ExtKeyUsageServerAuth)
	if deadline, ok := ctx.Deadline(); ok {
		c.SetDeadline(deadline)
	}
	if len(preface) > 0 {
		if _, err := c.Write(preface); err != nil {
			return err
		}
	}
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return fmt.Errorf("it does not let this node in: %w", err)
	}
	c.SetDeadline(time.Time{})
	switch b[0] {
	case welcome:
		return nil
	case refuseRemoved:
		t.opts.OnRemoved(node)
		return ErrRemoved
	case refuseForeign:
		return errors.New("it is of another generation of the cluster: one of the two was recovered from a lost majority without the other")
	case refuseGroup:
		return errors.New("it does not serve this group or protocol")
	default:
		return errors.New("it is busy or stopping")
	}
}
