package pack

import (
	"sync"
	"time"
)

// Budget bounds the traffic of rewriting, for all packers of a node together:
// bytes read from the store and written to it. It may go into debt by one
// rewriting, which is paid off before the next begins.
type Budget struct {
	mu      sync.Mutex
	perHour int64
	left    float64
	last    time.Time
}

// NewBudget makes a Budget of so many bytes an hour; 0 allows nothing.
func NewBudget(perHour int64) *Budget { return &Budget{perHour: perHour} }

// Set changes the budget from now on.
func (b *Budget) Set(perHour int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accrue()
	b.perHour = perHour
}

// accrue adds what time has brought, a minute's worth at most.
func (b *Budget) accrue() {
	now := time.Now()
	if b.last.IsZero() {
		b.left = 1
	} else {
		b.left += float64(b.perHour) * now.Sub(b.last).Hours()
	}
	b.left = min(b.left, max(1, float64(b.perHour)/60))
	b.last = now
}

// take spends n bytes, or says how long to wait before asking again.
func (b *Budget) take(n int64) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accrue()
	switch {
	case b.perHour <= 0:
		return time.Hour, false
	case b.left <= 0:
		return time.Duration((1 - b.left) / float64(b.perHour) * float64(time.Hour)), false
	}
	b.left -= float64(n)
	return 0, true
}
