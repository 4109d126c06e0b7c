// Package dns asks recursive DNS servers for what mail needs: MX, A, AAAA, TXT,
// TLSA, CNAME and PTR records. It owns the one resolver of a node: its cache,
// its bounds of time, size and number, and the word on whether an answer was
// validated (DNSSEC).
//
// It never validates signatures itself and believes a server that says it did
// only over loopback or where the settings call the path trusted. It never
// takes a failure for "there is none": what is not known is temporary (G7). It
// never says what an answer means for mail; the destination and the policies do.
package dns

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// What a NotFound error has in its chain: whether the name itself does not exist
// (NXDOMAIN), or has no records of the type asked for (RFC 2308 2.1, 2.2).
var (
	ErrNoName = errors.New("the name does not exist")
	ErrNoData = errors.New("the name has no such record")
)

// ErrNullMX is in the chain where a domain says that it takes no mail (RFC 7505).
// The kind is KindDenied.
var ErrNullMX = errors.New("the domain accepts no mail (null MX)")

// Options are what a Resolver is made of. Zero values mean the defaults given.
type Options struct {
	// Servers says whom to ask, for every question that is not cached. nil reads
	// /etc/resolv.conf each time.
	Servers func() (Servers, error)
	// Timeout is for one exchange with one server; 3 s.
	Timeout time.Duration
	// Attempts is how many exchanges one question may take, TCP after a
	// truncated answer not counted; 4.
	Attempts int
	// Total is for one question, whatever it leads to; 15 s.
	Total time.Duration
	// MaxTTL and MaxNegativeTTL bound how long answers are kept, whatever their
	// records say; 1 h and 15 min. FailureTTL is how long a failure is given
	// again without asking (RFC 9520 3.2); 5 s.
	MaxTTL, MaxNegativeTTL, FailureTTL time.Duration
	// CacheBytes bounds the cache, by the size of what is in it; 16 MiB.
	CacheBytes int
	// Exchanges is how many questions may be on their way at once; 256.
	Exchanges int
	// Clock tells when kept answers end; default time.Now.
	Clock func() time.Time
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&o.Timeout, 3 * time.Second}, {&o.Total, 15 * time.Second}, {&o.MaxTTL, time.Hour},
		{&o.MaxNegativeTTL, 15 * time.Minute}, {&o.FailureTTL, 5 * time.Second},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	for _, d := range []struct {
		v   *int
		def int
	}{
		{&o.Attempts, 4}, {&o.CacheBytes, 16 << 20}, {&o.Exchanges, 256},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if o.Servers == nil {
		o.Servers = ResolvConf("/etc/resolv.conf")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}

// Resolver answers questions from its cache, else by asking servers. Equal
// questions that come while one is on its way wait for its answer. All methods
// may be called concurrently.
type Resolver struct {
	o     Options
	cache *cache
	room  chan struct{} // one for each exchange under way
	last  atomic.Pointer[server]
	count counters

	life context.Context // of all exchanges
	end  context.CancelFunc
	work sync.WaitGroup

	mu     sync.Mutex
	asked  map[question]*flight
	closed bool
}

// New makes a Resolver. It does no I/O.
func New(o Options) *Resolver {
	o = o.withDefaults()
	r := &Resolver{
		o: o, cache: newCache(o.CacheBytes), room: make(chan struct{}, o.Exchanges), asked: map[question]*flight{},
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// Forget drops what is kept, and has nobody wait for the answer to a question that
// was asked before: for when other servers are to be asked, or other ones believed.
func (r *Resolver) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cache.forget()
	clear(r.asked)
}

// Close ends what is under way, and waits for it. Questions after it fail.
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	r.work.Wait()
	return nil
}

type counters struct{ questions, hits, exchanges, tcp, failures atomic.Uint64 }

// Stats are counts since the start.
type Stats struct {
	Questions uint64 // lookups by callers
	Hits      uint64 // of them, answered from the cache
	Exchanges uint64 // sent to servers, over UDP or TCP
	TCP       uint64 // of them, over TCP
	Failures  uint64 // questions that no server answered
	Cached    int    // answers in the cache
	Bytes     int    // and their size
}

// Stats tells what the resolver has done.
func (r *Resolver) Stats() Stats {
	s := Stats{
		Questions: r.count.questions.Load(), Hits: r.count.hits.Load(), Exchanges: r.count.exchanges.Load(),
		TCP: r.count.tcp.Load(), Failures: r.count.failures.Load(),
	}
	s.Cached, s.Bytes = r.cache.size()
	return s
}
