package gossip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"rookery"
)

// carrier is memberlist's transport: packets on a socket of their own,
// streams inside the mTLS port of the same number.
type carrier struct {
	packets   net.PacketConn
	streams   Streams
	advertise netip.AddrPort
	incoming  chan *memberlist.Packet
	accepted  chan net.Conn
	ctx       context.Context
	cancel    context.CancelFunc
	work      sync.WaitGroup
}

var _ memberlist.NodeAwareTransport = (*carrier)(nil)

const maxPacket = 64 << 10

func newCarrier(o Options) *carrier {
	c := &carrier{packets: o.Packets, streams: o.Streams, advertise: o.Advertise,
		incoming: make(chan *memberlist.Packet), accepted: make(chan net.Conn)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.work.Go(c.receive)
	c.work.Go(c.accept)
	return c
}

func (c *carrier) receive() {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := c.packets.ReadFrom(buf)
		now := time.Now()
		if err != nil {
			if c.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			c.pause()
			continue
		}
		if n == 0 {
			continue
		}
		select {
		case c.incoming <- &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: now}:
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *carrier) accept() {
	for {
		conn, err := c.streams.Accept()
		if err != nil {
			if c.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			c.pause()
			continue
		}
		select {
		case c.accepted <- conn:
		case <-c.ctx.Done():
			conn.Close()
			return
		}
	}
}

// pause keeps an error that stays from taking a processor.
func (c *carrier) pause() {
	select {
	case <-time.After(50 * time.Millisecond):
	case <-c.ctx.Done():
	}
}

// FinalAdvertiseAddr is memberlist's.
func (c *carrier) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return c.advertise.Addr().Unmap().AsSlice(), int(c.advertise.Port()), nil
}

// WriteTo is memberlist's.
func (c *carrier) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = c.packets.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return time.Now(), err
}

// WriteToAddress is memberlist's.
func (c *carrier) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return c.WriteTo(b, a.Addr)
}

// PacketCh is memberlist's.
func (c *carrier) PacketCh() <-chan *memberlist.Packet { return c.incoming }

// DialTimeout is memberlist's.
func (c *carrier) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return c.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout is memberlist's.
func (c *carrier) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, timeout)
	defer cancel()
	return c.streams.Dial(ctx, a.Addr, rookery.NodeID(a.Name))
}

// StreamCh is memberlist's.
func (c *carrier) StreamCh() <-chan net.Conn { return c.accepted }

// Shutdown is memberlist's: it returns when nothing arrives any more.
func (c *carrier) Shutdown() error {
	c.cancel()
	err := errors.Join(c.packets.Close(), c.streams.Close())
	c.work.Wait()
	return err
}
