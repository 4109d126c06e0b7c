// Package quirk is an S3 server that misbehaves: a proxy in front of a real one
// that does to its requests what networks, overload and bad hardware do, and
// counts them. Tests put it between the product and the store.
//
// It owns the faults and the counting; it never signs, stores or interprets
// objects.
package quirk

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// Op is what a request wants of the store.
type Op string

// The operations that are told apart. Every other request is Other.
const (
	Put    Op = "PUT"
	Get    Op = "GET"
	Head   Op = "HEAD"
	Delete Op = "DELETE" // of one object or of many
	List   Op = "LIST"
	Other  Op = "OTHER" // buckets, listings of uploads

	// The steps of a multipart upload.
	Begin    Op = "BEGIN"
	Part     Op = "PART"
	Complete Op = "COMPLETE"
	Abort    Op = "ABORT"
)

// Kind is a way to misbehave.
type Kind int

// The kinds of faults.
const (
	Refuse    Kind = iota + 1 // cut the connection without an answer
	Hang                      // take the request and stay silent until it is given up
	Internal                  // 500 InternalError
	SlowDown                  // 503 SlowDown
	BadSecret                 // 403 SignatureDoesNotMatch, as after a change of keys
	Unknown                   // 501 NotImplemented
	LoseReply                 // do it, then cut the connection: success after a time-out
	CutUpload                 // hand half of the upload on, then cut both connections
	Corrupt                   // flip a bit of what a GET brings
	Cut                       // end what a GET brings half way
)

var names = [...]string{"", "refuse", "hang", "internal error", "slow down", "bad secret", "unknown", "lose reply",
	"cut upload", "corrupt", "cut"}

func (k Kind) String() string { return names[k] }

// Fault is done to a share of the requests for some operations.
type Fault struct {
	Kind Kind
	// Ops it befalls; none means all.
	Ops []Op
	// Share of these requests, 0 to 1; 0 means all.
	Share float64
	// After so many of these requests it begins, and befalls at most Times of
	// them; 0 is without a bound.
	After, Times int
}

// armed is a fault with what it has met.
type armed struct {
	Fault
	met, done int
}

func (f *armed) befalls(op Op, dice float64) bool {
	if len(f.Ops) > 0 && !slices.Contains(f.Ops, op) {
		return false
	}
	f.met++
	if f.met <= f.After || f.Times > 0 && f.done >= f.Times || f.Share > 0 && dice >= f.Share {
		return false
	}
	f.done++
	return true
}

// Proxy is a running proxy.
type Proxy struct {
	URL string

	backend *httputil.ReverseProxy
	server  *http.Server
	healed  chan struct{} // closed when the faults change

	mu     sync.Mutex
	rnd    *rand.Rand
	faults []*armed
	delay  time.Duration
	counts map[Op]int
	done   map[Kind]int
}

// New starts a proxy in front of an S3 endpoint, without a fault, until the
// test ends.
func New(t testing.TB, endpoint string, seed uint64) *Proxy {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "http://" + ln.Addr().String(), healed: make(chan struct{}), rnd: rand.New(rand.NewPCG(seed, 9)),
		counts: map[Op]int{}, done: map[Kind]int{}}
	p.backend = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.Host = r.In.Host // it is part of the signature
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = &http.Server{Handler: p}
	go p.server.Serve(ln)
	t.Cleanup(func() {
		p.Set()
		p.server.Close()
	})
	return p
}

// Set replaces the faults; without any the proxy is healthy. Requests that hang
// are cut off.
func (p *Proxy) Set(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
	for _, f := range faults {
		p.faults = append(p.faults, &armed{Fault: f})
	}
	close(p.healed)
	p.healed = make(chan struct{})
}

// Slow delays every request from now on.
func (p *Proxy) Slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Count is how many requests have come in for an operation.
func (p *Proxy) Count(op Op) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[op]
}

// Done is how often a fault befell a request.
func (p *Proxy) Done(k Kind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done[k]
}

// choose counts a request and draws what befalls it: the first fault that does.
func (p *Proxy) choose(op Op) (kind Kind, delay time.Duration, healed chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[op]++
	for _, f := range p.faults {
		if f.befalls(op, p.rnd.Float64()) {
			kind = f.Kind
			p.done[kind]++
			break
		}
	}
	return kind, p.delay, p.healed
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, delay, healed := p.choose(opOf(r))
	if delay > 0 {
		wait(r.Context(), delay)
	}
	switch kind {
	case Refuse:
		panic(http.ErrAbortHandler)
	case Hang:
		select {
		case <-r.Context().Done():
		case <-healed:
		}
		panic(http.ErrAbortHandler)
	case Internal:
		answer(w, http.StatusInternalServerError, "InternalError")
	case SlowDown:
		answer(w, http.StatusServiceUnavailable, "SlowDown")
	case BadSecret:
		answer(w, http.StatusForbidden, "SignatureDoesNotMatch")
	case Unknown:
		answer(w, http.StatusNotImplemented, "NotImplemented")
	case LoseReply:
		p.backend.ServeHTTP(&lost{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case CutUpload:
		r.Body = &halfBody{r.Body, r.ContentLength / 2}
		p.backend.ServeHTTP(&lost{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case Corrupt, Cut:
		p.backend.ServeHTTP(&garbled{ResponseWriter: w, cut: kind == Cut}, r)
	default:
		p.backend.ServeHTTP(w, r)
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
