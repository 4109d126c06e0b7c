package dns

import (
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	mdns "github.com/miekg/dns"
)

// question is what is asked: a normal name and a type of record.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string { return mdns.TypeToString[q.qtype] + " " + q.name }

// outcome is what a question led to. It is shared by all who asked and never
// changed.
type outcome struct {
	records []mdns.RR // of the type asked for
	name    string    // their owner: where CNAMEs led
	secure  bool
	ttl     time.Duration
	err     error // why there are no records
}

// perOutcome and perRecord are roughly what the cache spends beside the octets
// of a record.
const perOutcome, perRecord = 256, 128

func (o *outcome) size() int {
	n := perOutcome + len(o.name)
	for _, rr := range o.records {
		n += perRecord + mdns.Len(rr)
	}
	return n
}

type kept struct {
	outcome *outcome
	bytes   int
	until   time.Time
}

// cache keeps outcomes until their time is over, and drops the one that was used
// longest ago when there are too many bytes.
type cache struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[question, kept]
	bytes int
	most  int
	// era counts how often everything was forgotten.
	era uint64
}

func newCache(most int) *cache {
	c := &cache{most: most}
	// The size in entries is no bound here: bytes are.
	c.lru, _ = simplelru.NewLRU(math.MaxInt32, func(_ question, k kept) { c.bytes -= k.bytes })
	return c
}

func (c *cache) get(q question, now time.Time) *outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.lru.Get(q)
	if !ok {
		return nil
	}
	if !now.Before(k.until) {
		c.lru.Remove(q)
		return nil
	}
	return k.outcome
}

// put keeps an outcome, unless all was forgotten since the era in which it was
// asked for.
func (c *cache) put(q question, o *outcome, era uint64, now time.Time) {
	if o.ttl <= 0 {
		return
	}
	k := kept{outcome: o, bytes: o.size() + len(q.name), until: now.Add(o.ttl)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if era != c.era {
		return
	}
	c.lru.Remove(q)
	c.lru.Add(q, k)
	for c.bytes += k.bytes; c.bytes > c.most; {
		c.lru.RemoveOldest()
	}
}

func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Purge()
	c.era++
}

func (c *cache) now() (era uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.era
}

func (c *cache) size() (outcomes, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Len(), c.bytes
}
