package transport_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/transporttest"
)

// fragile is a connection that breaks after some bytes were written to it.
type fragile struct {
	net.Conn
	mu   sync.Mutex
	left int
}

func (f *fragile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(p), f.left)
	f.left -= n
	n, err := f.Conn.Write(p[:n])
	if err == nil && f.left == 0 {
		f.Conn.Close()
		err = io.ErrClosedPipe
	}
	return n, err
}

// TestUnavailableMeansNotRun breaks connections anywhere, in both
// directions: a call that failed as KindUnavailable has not run, one that
// was answered has run once, and none has run twice.
func TestUnavailableMeansNotRun(t *testing.T) {
	c := newCluster(t)
	a := c.node("a", func(o *transport.Options) {
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", address)
			return &fragile{Conn: conn, left: 1 + rand.IntN(400_000)}, err
		}
	})
	b := c.node("b", nil)
	var mu sync.Mutex
	runs := map[string]int{}
	b.Handle("run", func(_ context.Context, _ rookery.NodeID, body []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		runs[string(body[:8])]++
		if rand.IntN(20) == 0 {
			b.CutOff("a")
		}
		return body, nil
	})
	counts := map[string]int{}
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 60 {
				id := fmt.Sprintf("%03d-%04d", w, i)
				body := append([]byte(id), make([]byte, rand.IntN(150_000))...)
				_, err := a.Call(within(t), "b", "run", body)
				mu.Lock()
				ran := runs[id]
				switch kind := rookery.KindOf(err); {
				case err == nil && ran != 1:
					t.Errorf("call %s was answered and ran %d times", id, ran)
				case err == nil:
					counts["answered"]++
				case kind == rookery.KindUnavailable:
					counts["unavailable"]++
				case kind == rookery.KindUnknown:
					counts["unknown"]++
				default:
					t.Errorf("call %s: %v", id, err)
				}
				if err != nil && rookery.Is(err, rookery.KindUnavailable) {
					runs[id] += 100 // and must stay there
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	must(t, b.Close(within(t)))
	for id, n := range runs {
		if n != 1 && n != 100 {
			t.Errorf("call %s ran %d times (100 more: it was said to be unavailable)", id, n)
		}
	}
	t.Log(counts)
	if len(counts) != 3 {
		t.Errorf("not everything happened: %v", counts)
	}
}

// TestSilentPeer cuts the power of a node: nothing comes back, not even a
// reset. Calls under way end in doubt, later ones fail at once, and all is
// well when the node is back.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		net := transporttest.NewNetwork()
		a, b := c.inMemory(net, "a", "10.0.0.1:7000"), c.inMemory(net, "b", "10.0.0.2:7000")
		b.Handle("echo", echo)
		b.Handle("slow", func(ctx context.Context, _ rookery.NodeID, _ []byte) ([]byte, error) {
			time.Sleep(time.Minute)
			return []byte("late"), nil
		})
		got, err := a.Call(t.Context(), "b", "slow", nil)
		if err != nil || string(got) != "late" {
			t.Fatalf("a slow call: %q, %v", got, err)
		}
		time.Sleep(time.Hour) // the kept connection stays
		result := make(chan error, 1)
		go func() {
			_, err := a.Call(context.Background(), "b", "slow", nil)
			result <- err
		}()
		time.Sleep(time.Second)
		net.Cut("10.0.0.2:7000", true)
		before := time.Now()
		wantKind(t, "call under way", <-result, rookery.KindUnknown)
		if d := time.Since(before); d > 12*time.Second {
			t.Errorf("the silence was noticed after %v", d)
		}
		before = time.Now()
		_, err = a.Call(t.Context(), "b", "echo", nil)
		wantKind(t, "call to a silent node", err, rookery.KindUnavailable)
		if d := time.Since(before); d > 4*time.Second {
			t.Errorf("the call failed after %v", d)
		}
		net.Cut("10.0.0.2:7000", false)
		time.Sleep(time.Second)
		_, err = a.Call(t.Context(), "b", "echo", nil)
		must(t, err)
		must(t, a.Close(t.Context()))
		must(t, b.Close(t.Context()))
	})
}
