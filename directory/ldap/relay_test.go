package ldap

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/directory/embedded"
)

// relay stands between a directory and its server, and can stop to forward:
// then connections open, and nothing is ever answered.
type relay struct {
	addr string
	mu   sync.Mutex
	open chan struct{} // closed while bytes flow
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), open: make(chan struct{})}
	close(r.open)
	t.Cleanup(func() { l.Close(); r.thaw() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go r.join(in, to)
		}
	}()
	return r
}

func (r *relay) join(in net.Conn, to string) {
	r.wait()
	out, err := net.Dial("tcp", to)
	if err != nil {
		in.Close()
		return
	}
	pump := func(dst, src net.Conn) {
		defer dst.Close()
		defer src.Close()
		buf := make([]byte, 4096)
		for {
			n, err := src.Read(buf)
			r.wait()
			if _, werr := dst.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	go pump(in, out)
	pump(out, in)
}

func (r *relay) wait() {
	r.mu.Lock()
	open := r.open
	r.mu.Unlock()
	<-open
}

func (r *relay) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = make(chan struct{})
}

func (r *relay) thaw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.open:
	default:
		close(r.open)
	}
}

func TestFreezeUnderLoad(t *testing.T) {
	cert, ca := certificate(t, "dc1", "127.0.0.1")
	s := inProcess(t, embedded.Options{TLSAddr: "127.0.0.1:0", TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	for name, u := range map[string]struct{ scheme, addr string }{
		"plain": {"ldap://", s.Addr().String()},
		"LDAPS": {"ldaps://", s.TLSAddr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := startRelay(t, u.addr), startRelay(t, u.addr)
			c := impatient(embeddedConfig(s))
			c.URLs, c.CAFile = []string{u.scheme + first.addr, u.scheme + second.addr}, ca
			c.BindConns, c.Deadline = 2, time.Minute // binds queue up
			d := openDirectory(t, c)
			eventually(t, "both are up", func() bool { h := d.Health(); return h[0].Up && h[1].Up })
			expectPeople(t, d)
			first.freeze()
			var wg sync.WaitGroup
			var failed atomic.Value
			for i := range 48 {
				wg.Go(func() {
					var err error
					if i%2 == 0 {
						_, err = d.Authenticate(t.Context(), "alice", "secret")
					} else {
						_, err = d.Recipient(t.Context(), address(t, "alice@example.test"))
					}
					if err != nil {
						failed.Store(err)
					}
				})
			}
			wg.Wait()
			if err := failed.Load(); err != nil {
				t.Errorf("the second server could have answered: %v", err)
			}
			second.freeze()
			start := time.Now()
			if _, err := d.Authenticate(t.Context(), "alice", "wrong"); !rookery.Is(err, rookery.KindUnavailable) ||
				time.Since(start) > c.Deadline+time.Minute {
				t.Errorf("both frozen: %v after %v", err, time.Since(start))
			}
			first.thaw()
			second.thaw()
			eventually(t, "both are back", func() bool { h := d.Health(); return h[0].Up && h[1].Up })
			expectPeople(t, d)
		})
	}
}
