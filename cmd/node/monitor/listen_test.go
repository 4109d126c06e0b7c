package monitor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"rookery/cmd/node/settings"
)

// Whoever reaches the readiness port must not take all descriptors.
func TestHealthBoundsConnections(t *testing.T) {
	at := ""
	h := New(Options{
		Config: settings.Node{Listen: settings.Listen{Health: []string{"127.0.0.1:0"}}}, Logger: slog.New(slog.DiscardHandler),
		Listen: func(ctx context.Context, network, address string) (net.Listener, error) {
			ln, err := new(net.ListenConfig).Listen(ctx, network, address)
			if err == nil {
				at = ln.Addr().String()
			}
			return ln, err
		},
	})
	h.health.IdleTimeout = time.Hour // the machine may be slow
	if err := h.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprint(c, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
		return c
	}
	answered := func(c net.Conn) error {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	var held []net.Conn
	for range maxPlainConns {
		c := dial()
		if err := answered(c); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	more := dial()
	more.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if err := answered(more); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one more than the bound: %v", err)
	}
	held[0].Close()
	more.SetReadDeadline(time.Time{})
	if err := answered(more); err != nil {
		t.Errorf("once there is room: %v", err)
	}
}
