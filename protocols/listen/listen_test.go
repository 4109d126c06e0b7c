package listen

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

func open(t *testing.T, most, perClient int, trusted ...netip.Prefix) *Listener {
	t.Helper()
	l, err := Open(t.Context(), Options{
		Name: "test", Addr: "127.0.0.1:0", Listen: new(net.ListenConfig).Listen, TrustedProxies: trusted, Refusal: "no room\r\n",
		Limits: func() Limits { return Limits{most, perClient} }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); l.Wait() })
	return l
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

func TestListenerRefusesTheNewestAboveItsBounds(t *testing.T) {
	for name, bounds := range map[string][2]int{"in all": {1, 100}, "by address": {100, 1}} {
		t.Run(name, func(t *testing.T) {
			g := open(t, bounds[0], bounds[1])
			dial(t, g)
			first, err := g.Accept()
			if err != nil {
				t.Fatal(err)
			}
			second := dial(t, g)
			if said, err := io.ReadAll(second); err != nil || string(said) != "no room\r\n" {
				t.Errorf("a connection above the bound heard %q, %v", said, err)
			}
			first.Close()
			first.Close() // closing twice must not free two places
			dial(t, g)
			if _, err := g.Accept(); err != nil {
				t.Error(err)
			}
			if got := g.Stats(); got != (Stats{Admitted: 2, Refused: 1, Open: 1}) {
				t.Errorf("counts %+v", got)
			}
		})
	}
}

func TestListenerBelievesTrustedProxiesOnly(t *testing.T) {
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	for _, version := range []string{"PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x0f\xa0\x00\x19"} {
		g := open(t, 10, 10, loopback)
		c := dial(t, g)
		fmt.Fprintf(c, "%shello\r\n", version)
		got, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if a := Addr(got.RemoteAddr()); a != netip.MustParseAddr("192.0.2.7") {
			t.Errorf("address %v, want the one in the header", a)
		}
		if line, err := bufio.NewReader(got).ReadString('\n'); err != nil || line != "hello\r\n" {
			t.Errorf("behind the header: %q %v", line, err)
		}
	}
	g := open(t, 10, 10)
	c := dial(t, g)
	fmt.Fprint(c, "PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n")
	got, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(got).ReadString('\n'); line[:5] != "PROXY" || Addr(got.RemoteAddr()) != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("a header from a stranger was believed: %q %v", line, got.RemoteAddr())
	}
}

func TestListenerDropsATrustedProxyWithoutHeader(t *testing.T) {
	g := open(t, 10, 10, netip.MustParsePrefix("127.0.0.0/8"))
	c := dial(t, g)
	fmt.Fprint(c, "EHLO there, this is no header of any kind\r\n")
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection stays open")
	}
}

func TestListenerEndsAcceptWhenClosed(t *testing.T) {
	g := open(t, 1, 1)
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

// TestClient says which addresses count as one client.
func TestClient(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:25":              "192.0.2.1/32",
		"[::ffff:192.0.2.1]:25":     "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:25": "2001:db8:1:2::/64",
		"[fe80::1%lo]:25":           "fe80::/64",
		"pipe":                      "invalid Prefix",
	} {
		if got := Client(text(addr)).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

type text string

func (text) Network() string  { return "tcp" }
func (s text) String() string { return string(s) }

// TestLimitsChangeAtOnce opens more connections after the limit was raised.
func TestLimitsChangeAtOnce(t *testing.T) {
	var most atomic.Int64
	most.Store(1)
	l, err := Open(t.Context(), Options{
		Name: "test", Addr: "127.0.0.1:0", Listen: new(net.ListenConfig).Listen,
		Limits: func() Limits { return Limits{int(most.Load()), 100} }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial(t, l)
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, l).Read(make([]byte, 1)); err == nil {
		t.Error("a second connection was admitted")
	}
	most.Store(2)
	dial(t, l)
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
}
