package signin

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"rookery/protocols/listen"
)

// Budget is how many failures are tolerated at once, and how long it takes
// until one of them is forgotten.
type Budget struct {
	Failures int
	Every    time.Duration
}

// ledger is what has been spent of a budget, by key. It is bounded: the keys
// used longest ago go first.
type ledger struct {
	budget Budget

	mu   sync.Mutex
	keys *simplelru.LRU[string, spending]
}

type spending struct {
	failures float64
	at       time.Time
}

func newLedger(b Budget, size int) *ledger {
	keys, _ := simplelru.NewLRU[string, spending](size, nil) // fails for a size below 1 only
	return &ledger{budget: b, keys: keys}
}

// spent is called with mu held.
func (l *ledger) spent(key string, now time.Time) float64 {
	s, ok := l.keys.Get(key)
	if !ok {
		return 0
	}
	return max(0, s.failures-max(0, float64(now.Sub(s.at)))/float64(l.budget.Every))
}

// take spends one, unless fewer than one more than reserve are left.
func (l *ledger) take(key string, reserve int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.spent(key, now)
	if s+1 > float64(l.budget.Failures-reserve) {
		return false
	}
	l.keys.Add(key, spending{s + 1, now})
	return true
}

// giveBack undoes a take.
func (l *ledger) giveBack(key string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.spent(key, now); s > 1 {
		l.keys.Add(key, spending{s - 1, now})
	} else {
		l.keys.Remove(key)
	}
}

// charge spends one, which may be the last.
func (l *ledger) charge(key string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys.Add(key, spending{min(l.spent(key, now)+1, float64(l.budget.Failures)), now})
}

// overdrawn reports that less than one is left.
func (l *ledger) overdrawn(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spent(key, now)+1 > float64(l.budget.Failures)
}

// delays counts failures in a row, which delay the answer to the last one. It
// is bounded as a ledger is.
type delays struct {
	first, most time.Duration

	mu   sync.Mutex
	keys *simplelru.LRU[string, failures]
}

type failures struct {
	count int
	last  time.Time
}

// failureMemory is how long a failure counts towards the next delay.
const failureMemory = 15 * time.Minute

func newDelays(first, most time.Duration, size int) *delays {
	if first < 0 {
		first, most = 0, 0
	}
	keys, _ := simplelru.NewLRU[string, failures](size, nil) // fails for a size below 1 only
	return &delays{first: first, most: most, keys: keys}
}

// next counts a failure and gives the delay before its answer.
func (d *delays) next(key string, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, _ := d.keys.Get(key)
	if now.Sub(f.last) > failureMemory {
		f.count = 0
	}
	f.count, f.last = f.count+1, now
	d.keys.Add(key, f)
	return min(d.first<<min(f.count-1, 10), d.most)
}

func (d *delays) forget(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys.Remove(key)
}

// network is what counts as one client, as the listeners count it.
func network(client netip.AddrPort) string {
	if !client.Addr().IsValid() {
		return "unknown"
	}
	return listen.Network(client.Addr()).String()
}
