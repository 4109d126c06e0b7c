package peers

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// advertisedPackets is the IP address and port for packets: that of the
// advertised name where it can be found, else that of the socket or of this
// machine.
func advertisedPackets(advertised, listening string) netip.AddrPort {
	host, portText, err := net.SplitHostPort(advertised)
	port, perr := strconv.ParseUint(portText, 10, 16)
	local, lerr := netip.ParseAddrPort(listening)
	if err != nil || perr != nil {
		return local
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip, uint16(port))
	}
	if lerr == nil && !local.Addr().IsUnspecified() {
		return netip.AddrPortFrom(local.Addr(), uint16(port))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host); err == nil && len(ips) > 0 {
		for _, ip := range ips {
			if ip.Unmap().Is4() {
				return netip.AddrPortFrom(ip.Unmap(), uint16(port))
			}
		}
		return netip.AddrPortFrom(ips[0], uint16(port))
	}
	return netip.AddrPortFrom(ownAddress(), uint16(port))
}

// ownAddress is an address of this machine, a real one if it has one.
func ownAddress() netip.Addr {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
			return p.Addr()
		}
	}
	return netip.MustParseAddr("127.0.0.1")
}

// deafPort stands in for a UDP port that cannot be opened: nothing arrives
// and nothing is sent.
type deafPort struct {
	closed chan struct{}
	once   sync.Once
}

func newDeafPort() *deafPort { return &deafPort{closed: make(chan struct{})} }

func (p *deafPort) ReadFrom([]byte) (int, net.Addr, error) {
	<-p.closed
	return 0, nil, net.ErrClosed
}

func (p *deafPort) WriteTo([]byte, net.Addr) (int, error) { return 0, io.ErrClosedPipe }

func (p *deafPort) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *deafPort) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (p *deafPort) SetDeadline(time.Time) error      { return nil }
func (p *deafPort) SetReadDeadline(time.Time) error  { return nil }
func (p *deafPort) SetWriteDeadline(time.Time) error { return nil }
