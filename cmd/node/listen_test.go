package node

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"
)

func openGate(t *testing.T, max, perIP int, trusted ...netip.Prefix) *gate {
	t.Helper()
	g, err := listen(t.Context(), systemNetwork{}, "test", "127.0.0.1:0", trusted, func() int { return max }, func() int { return perIP }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func dialGate(t *testing.T, g *gate) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

func TestGateRefusesTheNewestAboveItsBounds(t *testing.T) {
	for name, bounds := range map[string][2]int{"in all": {1, 100}, "by address": {100, 1}} {
		t.Run(name, func(t *testing.T) {
			g := openGate(t, bounds[0], bounds[1])
			dialGate(t, g)
			first, err := g.Accept()
			if err != nil {
				t.Fatal(err)
			}
			second := dialGate(t, g)
			if _, err := second.Read(make([]byte, 1)); err == nil {
				t.Error("a connection above the bound was not closed")
			}
			first.Close()
			first.Close() // closing twice must not free two places
			dialGate(t, g)
			if _, err := g.Accept(); err != nil {
				t.Error(err)
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.total != 1 {
				t.Errorf("counts %d connections, want 1", g.total)
			}
		})
	}
}

func TestGateBelievesTrustedProxiesOnly(t *testing.T) {
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	for _, version := range []string{"PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x0f\xa0\x00\x19"} {
		g := openGate(t, 10, 10, loopback)
		c := dialGate(t, g)
		fmt.Fprintf(c, "%shello\r\n", version)
		got, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if a := addrOf(got.RemoteAddr()); a != netip.MustParseAddr("192.0.2.7") {
			t.Errorf("address %v, want the one in the header", a)
		}
		if line, err := bufio.NewReader(got).ReadString('\n'); err != nil || line != "hello\r\n" {
			t.Errorf("behind the header: %q %v", line, err)
		}
	}
	g := openGate(t, 10, 10)
	c := dialGate(t, g)
	fmt.Fprint(c, "PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n")
	got, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(got).ReadString('\n'); line[:5] != "PROXY" || addrOf(got.RemoteAddr()) != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("a header from a stranger was believed: %q %v", line, got.RemoteAddr())
	}
}

func TestGateDropsATrustedProxyWithoutHeader(t *testing.T) {
	g := openGate(t, 10, 10, netip.MustParsePrefix("127.0.0.0/8"))
	c := dialGate(t, g)
	fmt.Fprint(c, "EHLO there, this is no header of any kind\r\n")
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection stays open")
	}
}

func TestGateEndsAcceptWhenClosed(t *testing.T) {
	g := openGate(t, 1, 1)
	done := make(chan error, 1)
	go func() { _, err := g.Accept(); done <- err }()
	g.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("no error from a closed listener")
		}
	case <-ctx.Done():
		t.Error("Accept hangs after Close")
	}
}
