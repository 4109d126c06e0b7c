package tlspolicy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"rookery"
)

// sts is a domain's policy: the one that is kept, unless its TXT record has
// another id, or half of its time is over, and it can be fetched (RFC 8461 3.3,
// 5.1). nil is none.
func (f *Finder) sts(ctx context.Context, domain string) (*STS, error) {
	kept, ok, err := f.o.Cache.Get(ctx, domain)
	if err != nil {
		return nil, err
	}
	ok = ok && f.o.Clock().Before(kept.Until)
	id, live, err := f.id(ctx, domain)
	if err != nil {
		return nil, err
	}
	if live && (!ok || id != kept.ID || kept.old(f.o.Clock())) {
		if p, fetched := f.renew(ctx, domain, id); fetched {
			kept, ok = p, true
		}
	}
	if !ok || kept.Mode == NoMode {
		return nil, nil
	}
	return &kept, nil
}

// id asks for the TXT record. Whatever fails here leaves what is kept in force,
// and a domain without it as it is (RFC 8461 3.1): an attacker who can keep the
// record away could as well keep the mail from coming. What failed on our side,
// a spent budget or a caller that went away, says nothing and is an error.
func (f *Finder) id(ctx context.Context, domain string) (id string, ok bool, err error) {
	a, err := f.o.Resolver.TXT(ctx, "_mta-sts."+domain)
	switch {
	case ctx.Err() != nil || rookery.Is(err, rookery.KindLimit):
		return "", false, errors.Join(err, ctx.Err())
	case err != nil:
		return "", false, nil
	}
	id, ok = parseID(a.Records)
	return id, ok, nil
}

// renew fetches a policy and has it kept; once for all who ask at the same time.
func (f *Finder) renew(ctx context.Context, domain, id string) (STS, bool) {
	key := domain + " " + id
	if f.failed.still(key, f.o.Clock()) {
		return STS{}, false
	}
	v, err, _ := f.flights.Do(key, func() (any, error) {
		// The one that asked first may go away; the others still wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.o.Timeout)
		defer cancel()
		// Another may have fetched it since this one looked.
		if p, ok, err := f.o.Cache.Get(ctx, domain); err == nil && ok && p.ID == id && !p.old(f.o.Clock()) {
			return p, nil
		}
		text, err := f.fetch(ctx, "mta-sts."+domain)
		if err != nil {
			return nil, err
		}
		p, err := parse(text, f.o.Clock())
		if err != nil {
			return nil, err
		}
		p.ID, p.Fetched = id, f.o.Clock()
		if least := p.Fetched.Add(f.o.Again); p.Until.Before(least) {
			p.Until = least // else each message would have it fetched, and kept
		}
		// A policy that could not be kept is fetched again next time.
		_ = f.o.Cache.Put(ctx, domain, p)
		return p, nil
	})
	if err != nil {
		f.failed.add(key, f.o.Clock().Add(f.o.Again))
		return STS{}, false
	}
	return v.(STS), true
}

// maxKept is how many domains failures and Memory remember.
const maxKept = 10_000

// failures are the fetches that are not tried again for now.
type failures struct {
	mu  sync.Mutex
	lru *simplelru.LRU[string, time.Time]
}

func newFailures() *failures {
	l, _ := simplelru.NewLRU[string, time.Time](maxKept, nil)
	return &failures{lru: l}
}

func (f *failures) still(key string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	until, ok := f.lru.Get(key)
	return ok && now.Before(until)
}

func (f *failures) add(key string, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lru.Add(key, until)
}

// Memory is a Cache of one process, of at most 10,000 domains. A cluster keeps
// its policies in the system group instead, so that they outlive a node.
type Memory struct {
	mu  sync.Mutex
	lru *simplelru.LRU[string, STS]
}

// NewMemory makes a Memory.
func NewMemory() *Memory {
	l, _ := simplelru.NewLRU[string, STS](maxKept, nil)
	return &Memory{lru: l}
}

// Get gives the policy that was put last.
func (m *Memory) Get(_ context.Context, domain string) (STS, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.lru.Get(domain)
	return p, ok, nil
}

// Put keeps a policy.
func (m *Memory) Put(_ context.Context, domain string, p STS) error {
	if domain == "" {
		return rookery.E("keep an MTA-STS policy", rookery.KindInvalid, errors.New("it has no domain"))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lru.Add(domain, p)
	return nil
}
