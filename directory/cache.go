package directory

import (
	"context"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	"rookery"
)

// CacheOptions bound a Cache. Zero values mean the defaults.
type CacheOptions struct {
	TTL         time.Duration // how long a found entry is believed; 30 s
	NegativeTTL time.Duration // how long "no such user" is believed; 5 s
	Size        int           // most answers kept; 10,000
	Timeout     time.Duration // for one shared look-up, whoever waits for it; 15 s
	// Stale is how long a found entry past its TTL may still be given while
	// the directory is KindUnavailable; 0, the default, is never. It keeps
	// mail for known people flowing through an outage, at the price of not
	// deferring at once for an address that a second entry has claimed.
	Stale time.Duration
	// Strangers bounds the searches for addresses that nobody has.
	Strangers Budget
	Now       func() time.Time
}

func (o CacheOptions) withDefaults() CacheOptions {
	if o.TTL <= 0 {
		o.TTL = 30 * time.Second
	}
	if o.NegativeTTL <= 0 {
		o.NegativeTTL = 5 * time.Second
	}
	if o.Size <= 0 {
		o.Size = 10_000
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Cache is a Directory that remembers the answers of Recipient for a short
// while, so that a RCPT does not cost a search each. Concurrent look-ups of
// one address share one. What clients ask for, by ForClient, is bounded: beyond
// the budget the answer is KindUnavailable. It never remembers that, and passes
// Authenticate through untouched.
type Cache struct {
	inner   Directory
	opts    CacheOptions
	answers *lru.Cache[string, answer]
	flights singleflight.Group
	unknown *strangers
	hits    atomic.Uint64
	misses  atomic.Uint64
}

// Stats are how many recipients were remembered, and how many were asked for.
func (c *Cache) Stats() (hits, misses uint64) { return c.hits.Load(), c.misses.Load() }

type answer struct {
	entry   Entry
	err     error // nil or KindNotFound
	expires time.Time
}

// NewCache puts a cache in front of a directory.
func NewCache(inner Directory, opts CacheOptions) *Cache {
	opts = opts.withDefaults()
	answers, _ := lru.New[string, answer](opts.Size) // fails for a size below 1 only
	return &Cache{inner: inner, opts: opts, answers: answers, unknown: newStrangers(opts.Strangers)}
}

// Recipient is Directory.Recipient, at most TTL old.
func (c *Cache) Recipient(ctx context.Context, addr rookery.Address) (Entry, error) {
	addr = Base(addr)
	key := addr.Key()
	a, remembered := c.answers.Get(key)
	if remembered && c.opts.Now().Before(a.expires) {
		c.hits.Add(1)
		return a.entry, a.err
	}
	c.misses.Add(1)
	client, bounded := clientOf(ctx)
	stranger := bounded && (!remembered || a.err != nil)
	if stranger && !c.unknown.take(client, c.opts.Now()) {
		return Entry{}, overBudget()
	}
	e, err := c.share(ctx, key, addr, bounded)
	if stranger && err == nil {
		c.unknown.giveBack(client)
	}
	return e, err
}

// share asks once for all who want an address at a time.
func (c *Cache) share(ctx context.Context, key string, addr rookery.Address, bounded bool) (Entry, error) {
	// The look-up outlives an impatient caller: others may wait for it too.
	flight := c.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Timeout)
		defer cancel()
		if bounded {
			if err := c.unknown.enter(ctx); err != nil {
				return Entry{}, err
			}
			defer c.unknown.leave()
		}
		return c.ask(ctx, key, addr)
	})
	select {
	case r := <-flight:
		e, _ := r.Val.(Entry)
		return e, r.Err
	case <-ctx.Done():
		return Entry{}, rookery.E("look up recipient", rookery.KindUnavailable, ctx.Err())
	}
}

func (c *Cache) ask(ctx context.Context, key string, addr rookery.Address) (Entry, error) {
	e, err := c.inner.Recipient(ctx, addr)
	now := c.opts.Now()
	switch {
	case rookery.Is(err, rookery.KindUnavailable):
		if a, ok := c.answers.Get(key); ok && a.err == nil && now.Before(a.expires.Add(c.opts.Stale)) {
			return a.entry, nil
		}
	case err == nil:
		c.answers.Add(key, answer{entry: e, expires: now.Add(c.opts.TTL)})
	case rookery.Is(err, rookery.KindNotFound):
		c.answers.Add(key, answer{err: err, expires: now.Add(c.opts.NegativeTTL)})
	}
	return e, err
}

// Authenticate is the inner directory's, never cached here: package signin remembers verdicts.
func (c *Cache) Authenticate(ctx context.Context, login, password string) (Entry, error) {
	return c.inner.Authenticate(ctx, login, password)
}

// Local is the inner directory's.
func (c *Cache) Local(domain string) bool { return c.inner.Local(domain) }

// Find is the inner directory's where it is a Finder, else KindUnavailable.
func (c *Cache) Find(ctx context.Context, login string) (Entry, error) {
	return find(ctx, c.inner, login)
}

// Prefixes are the inner directory's, where it has learnt any.
func (c *Cache) Prefixes() []string { return prefixes(c.inner) }

// Forget drops every remembered answer: after a change of settings, or when
// an operator asks.
func (c *Cache) Forget() { c.answers.Purge() }
