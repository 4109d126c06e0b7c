package transport_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"rookery"
	"rookery/cluster/transport"
)

// TestTooManyCalls fills a connection: what is over the limit is refused,
// unrun, and the rest is answered.
func TestTooManyCalls(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	const limit, asked = 1024, 1200
	gate := make(chan struct{})
	var ran, refused int
	var mu sync.Mutex
	b.Handle("wait", func(context.Context, rookery.NodeID, []byte) ([]byte, error) {
		mu.Lock()
		ran++
		mu.Unlock()
		<-gate
		return nil, nil
	})
	var all sync.WaitGroup
	over := make(chan struct{}, asked)
	for range asked {
		all.Go(func() {
			_, err := a.Call(within(t), "b", "wait", nil)
			if err == nil {
				return
			}
			if !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("a refused call: %v", err)
			}
			mu.Lock()
			refused++
			mu.Unlock()
			over <- struct{}{}
		})
	}
	for range asked - limit {
		<-over
	}
	close(gate)
	all.Wait()
	if ran != limit || refused != asked-limit {
		t.Fatalf("%d ran and %d were refused", ran, refused)
	}
}

func TestTooManyTunnels(t *testing.T) {
	c := newCluster(t)
	a := c.node("a", nil)
	b := c.node("b", func(o *transport.Options) { o.MaxTunnels, o.MaxStreams = 1, 1 })
	b.HandleConn("hold", func(_ context.Context, _ rookery.NodeID, _ []byte, conn net.Conn) { io.Copy(conn, conn) })
	gone := make(chan struct{})
	b.HandleStream("hold", func(ctx context.Context, _ rookery.NodeID, _ []byte, _ io.Writer) error {
		<-ctx.Done()
		close(gone)
		return nil
	})
	conn, err := a.DialConn(within(t), "b", "hold", nil)
	must(t, err)
	_, err = a.DialConn(within(t), "b", "hold", nil)
	wantKind(t, "one tunnel too many", err, rookery.KindUnavailable)
	conn.Close()
	r, err := a.OpenStream(within(t), "b", "hold", nil)
	must(t, err)
	_, err = a.OpenStream(within(t), "b", "hold", nil)
	wantKind(t, "one stream too many", err, rookery.KindUnavailable)
	r.Close()
	<-gone
	_, err = a.OpenStream(within(t), "b", "hold", make([]byte, transport.MaxHeader+1))
	wantKind(t, "a header too large", err, rookery.KindTooLarge)
}

func BenchmarkTunnelOpen(b *testing.B) {
	c := newCluster(b)
	x, y := c.node("a", nil), c.node("b", nil)
	y.HandleConn("t", func(context.Context, rookery.NodeID, []byte, net.Conn) {})
	b.ReportAllocs()
	for b.Loop() {
		conn, err := x.DialConn(context.Background(), "b", "t", nil)
		if err != nil {
			b.Fatal(err)
		}
		conn.Close()
	}
}

// TestCloseUnderLoad closes nodes that are being dialed and called.
func TestCloseUnderLoad(t *testing.T) {
	c := newCluster(t)
	a := c.node("a", nil)
	for range 10 {
		b := c.node("b", nil)
		b.Handle("echo", echo)
		stop := make(chan struct{})
		var load sync.WaitGroup
		for range 8 {
			load.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if conn, err := a.DialConn(within(t), "b", "none", nil); err == nil {
						conn.Close()
					}
					a.Call(within(t), "b", "echo", nil)
				}
			})
		}
		_, err := a.Call(within(t), "b", "echo", nil)
		if err != nil && !rookery.Is(err, rookery.KindUnavailable) { // its predecessor's address may be in use
			t.Fatal(err)
		}
		must(t, b.Close(within(t)))
		close(stop)
		load.Wait()
	}
}
