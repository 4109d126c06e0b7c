package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/transporttest"
)

func TestCall(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	b.Handle("echo", echo)
	a.Handle("echo", echo)
	ctx := within(t)
	for _, to := range []rookery.NodeID{"b", "a", "b"} {
		got, err := a.Call(ctx, to, "echo", []byte("hello"))
		must(t, err)
		if string(got) != "a: hello" {
			t.Fatalf("answer %q", got)
		}
	}
	_, err := a.Call(ctx, "b", "other", nil)
	wantKind(t, "no handler", err, rookery.KindUnavailable)
	if !errors.Is(err, transport.ErrNoHandler) {
		t.Fatalf("error %v does not tell that there is no handler", err)
	}
	_, err = a.Call(ctx, "c", "echo", nil)
	wantKind(t, "no address", err, rookery.KindUnavailable)
}

func TestErrorsTravel(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	b.Handle("fail", func(_ context.Context, _ rookery.NodeID, body []byte) ([]byte, error) {
		return nil, &rookery.Error{Op: "fail", Kind: rookery.Kind(body[0]), Err: errors.New("the reason")}
	})
	b.HandleStream("fail", func(_ context.Context, _ rookery.NodeID, header []byte, w io.Writer) error {
		io.WriteString(w, "some")
		return &rookery.Error{Op: "fail", Kind: rookery.Kind(header[0]), Err: errors.New("the reason")}
	})
	ctx := within(t)
	for _, kind := range rookery.Kinds() {
		_, err := a.Call(ctx, "b", "fail", []byte{byte(kind)})
		wantKind(t, "call", err, kind)
		if !strings.Contains(err.Error(), "the reason") {
			t.Fatalf("the text is lost: %v", err)
		}
		r, err := a.OpenStream(ctx, "b", "fail", []byte{byte(kind)})
		must(t, err)
		data, err := io.ReadAll(r)
		wantKind(t, "stream", err, kind)
		if string(data) != "some" {
			t.Fatalf("read %q before the error", data)
		}
		r.Close()
	}
}

func TestBodies(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	same := func(_ context.Context, _ rookery.NodeID, body []byte) ([]byte, error) { return body, nil }
	b.Handle("same", same)
	b.HandleLimit("small", 100, same)
	b.Handle("flood", func(context.Context, rookery.NodeID, []byte) ([]byte, error) {
		return make([]byte, transport.DefaultBody+1), nil
	})
	ctx := within(t)
	var all sync.WaitGroup
	for _, size := range []int{0, 1, 100, 1000, 16 << 10, 64<<10 - 20, 64 << 10, 64<<10 + 1, 1 << 20, transport.DefaultBody} {
		all.Go(func() {
			body := make([]byte, size)
			for i := range body {
				body[i] = byte(i*7) ^ byte(i>>8) ^ byte(size)
			}
			for range 3 {
				got, err := a.Call(ctx, "b", "same", body)
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("%d bytes: %d came back, error %v", size, len(got), err)
				}
			}
		})
	}
	all.Wait()
	_, err := a.Call(ctx, "b", "same", make([]byte, transport.DefaultBody+1))
	wantKind(t, "too large for the handler", err, rookery.KindTooLarge)
	_, err = a.Call(ctx, "b", "small", make([]byte, 101))
	wantKind(t, "too large for a small handler", err, rookery.KindTooLarge)
	_, err = a.Call(ctx, "b", "same", make([]byte, transport.MaxBody+1))
	wantKind(t, "too large for anything", err, rookery.KindTooLarge)
	_, err = a.Call(ctx, "b", "flood", nil)
	wantKind(t, "answer too large", err, rookery.KindTooLarge)
}

func TestDeadlineTravels(t *testing.T) { synctest.Test(t, deadlineTravels) }

func deadlineTravels(t *testing.T) {
	c, n := newCluster(t), transporttest.NewNetwork()
	a, b := c.inMemory(n, "a", "10.0.0.1:7000"), c.inMemory(n, "b", "10.0.0.2:7000")
	ended := make(chan error, 2)
	began := make(chan struct{}, 2)
	b.Handle("wait", func(ctx context.Context, _ rookery.NodeID, _ []byte) ([]byte, error) {
		began <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := a.Call(ctx, "b", "wait", nil)
	wantKind(t, "past its deadline", err, rookery.KindUnknown)
	<-ended
	<-began

	ctx, cancel = context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	_, err = a.Call(ctx, "b", "wait", nil)
	wantKind(t, "given up", err, rookery.KindUnknown)
	<-ended

	_, err = a.Call(ctx, "b", "wait", nil)
	wantKind(t, "given up before", err, rookery.KindUnavailable)
	must(t, a.Close(t.Context()))
	must(t, b.Close(t.Context()))
}

func TestLostConnectionIsDoubt(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	began := make(chan struct{})
	b.Handle("wait", func(ctx context.Context, _ rookery.NodeID, _ []byte) ([]byte, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	b.Handle("echo", echo)
	go func() { <-began; b.CutOff("a") }()
	_, err := a.Call(within(t), "b", "wait", nil)
	wantKind(t, "connection lost", err, rookery.KindUnknown)
	_, err = a.Call(within(t), "b", "echo", nil) // a new connection
	must(t, err)
}

func TestDrain(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	began, end := make(chan struct{}), make(chan struct{})
	b.Handle("slow", func(ctx context.Context, _ rookery.NodeID, _ []byte) ([]byte, error) {
		close(began)
		<-end
		return []byte("done"), ctx.Err()
	})
	b.Handle("echo", echo)
	result := make(chan error, 1)
	go func() {
		answer, err := a.Call(context.Background(), "b", "slow", nil)
		if err == nil && string(answer) != "done" {
			err = fmt.Errorf("answer %q", answer)
		}
		result <- err
	}()
	<-began
	closed := make(chan error, 1)
	go func() { closed <- b.Close(within(t)) }()
	for { // until the closing is seen
		_, err := a.Call(within(t), "b", "echo", nil)
		if err != nil {
			wantKind(t, "call to a node that stops", err, rookery.KindUnavailable)
			break
		}
	}
	close(end)
	must(t, <-result)
	must(t, <-closed)
	_, err := a.Call(within(t), "b", "echo", nil)
	wantKind(t, "call to a stopped node", err, rookery.KindUnavailable)
}

func TestCloseCutsOff(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	began := make(chan struct{})
	b.Handle("hang", func(ctx context.Context, _ rookery.NodeID, _ []byte) ([]byte, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	result := make(chan error, 1)
	go func() {
		_, err := a.Call(context.Background(), "b", "hang", nil)
		result <- err
	}()
	<-began
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	wantKind(t, "close", b.Close(ctx), rookery.KindUnavailable)
	if err := <-result; err == nil {
		t.Fatal("a call that hung was answered")
	}
}

func TestStream(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	data := make([]byte, 3<<20+17)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	b.HandleStream("data", func(_ context.Context, from rookery.NodeID, header []byte, w io.Writer) error {
		if from != "a" || string(header) != "head" {
			return fmt.Errorf("from %s with %q", from, header)
		}
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(200_000))
			if _, err := w.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	gone := make(chan struct{})
	b.HandleStream("endless", func(ctx context.Context, _ rookery.NodeID, _ []byte, w io.Writer) error {
		defer close(gone)
		for {
			if _, err := w.Write(data[:1000]); err != nil || ctx.Err() != nil {
				return err
			}
		}
	})
	r, err := a.OpenStream(within(t), "b", "data", []byte("head"))
	must(t, err)
	got, err := io.ReadAll(r)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Fatalf("%d bytes came, not the %d sent", len(got), len(data))
	}
	must(t, r.Close())

	r, err = a.OpenStream(within(t), "b", "endless", nil)
	must(t, err)
	_, err = io.ReadFull(r, make([]byte, 5000))
	must(t, err)
	r.Close()
	<-gone

	_, err = a.OpenStream(within(t), "b", "none", nil)
	wantKind(t, "no such stream", err, rookery.KindUnavailable)
}

func TestCutStreamIsNoEnd(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	b.HandleStream("data", func(ctx context.Context, _ rookery.NodeID, _ []byte, w io.Writer) error {
		w.Write(make([]byte, 100<<10))
		b.CutOff("a")
		return nil
	})
	r, err := a.OpenStream(within(t), "b", "data", nil)
	must(t, err)
	_, err = io.ReadAll(r)
	wantKind(t, "a stream cut off", err, rookery.KindUnavailable)
}

func TestTunnel(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	b.HandleConn("upper", func(_ context.Context, from rookery.NodeID, header []byte, conn net.Conn) {
		data, _ := io.ReadAll(conn) // to the half-close
		fmt.Fprintf(conn, "%s %s %s", from, header, bytes.ToUpper(data))
	})
	conn, err := a.DialConn(within(t), "b", "upper", []byte("192.0.2.1"))
	must(t, err)
	io.WriteString(conn, "some words")
	must(t, conn.(interface{ CloseWrite() error }).CloseWrite())
	got, err := io.ReadAll(conn)
	must(t, err)
	if string(got) != "a 192.0.2.1 SOME WORDS" {
		t.Fatalf("read %q", got)
	}
	must(t, conn.Close())
	_, err = a.DialConn(within(t), "b", "none", nil)
	wantKind(t, "no such tunnel", err, rookery.KindUnavailable)
}

// A peer that reads nothing holds up neither the end of writing nor, while
// that waits, a close: who waits for a lock here stops the clock of a bubble.
func TestCloseDuringCloseWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, n := newCluster(t), transporttest.NewNetwork()
		a, b := c.inMemory(n, "a", "10.0.0.1:7000"), c.inMemory(n, "b", "10.0.0.2:7000")
		defer a.Close(t.Context())
		defer b.Close(t.Context())
		b.HandleConn("deaf", func(ctx context.Context, _ rookery.NodeID, _ []byte, _ net.Conn) { <-ctx.Done() })
		conn, err := a.DialConn(within(t), "b", "deaf", nil)
		must(t, err)
		ended := make(chan error, 1)
		go func() { ended <- conn.(interface{ CloseWrite() error }).CloseWrite() }()
		synctest.Wait() // it writes
		must(t, conn.Close())
		if err := <-ended; err == nil {
			t.Error("the end of writing reached a peer that reads nothing")
		}
	})
}

func TestManyCalls(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	b.Handle("echo", echo)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 100 {
				ctx, cancel := context.WithCancel(within(t))
				if j%10 == 9 {
					cancel() // or nearly so
				}
				body := fmt.Sprintf("%d/%d", i, j)
				got, err := a.Call(ctx, "b", "echo", []byte(body))
				if err == nil && string(got) != "a: "+body || err != nil && j%10 != 9 {
					t.Errorf("call %s: %q, %v", body, got, err)
				}
				cancel()
			}
		})
	}
	all.Wait()
}

func BenchmarkCall(b *testing.B) {
	c := newCluster(b)
	x, y := c.node("a", nil), c.node("b", nil)
	y.Handle("echo", func(_ context.Context, _ rookery.NodeID, body []byte) ([]byte, error) { return body, nil })
	for _, size := range []int{64, 4 << 10, 256 << 10} {
		body := make([]byte, size)
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Call(context.Background(), "b", "echo", body); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%dB-parallel", size), func(b *testing.B) {
			b.SetParallelism(16)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := x.Call(context.Background(), "b", "echo", body); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
