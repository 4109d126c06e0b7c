//go:build chaos

package node

import (
	"os"
	"strings"
	"sync"
	"time"
)

// A binary built with -tags chaos takes two orders from its environment, for
// test/chaos alone: ROOKERY_MUTANT=no-barrier leaves the barrier of reads out,
// and ROOKERY_CLOCK names a file that holds by how much the clock is wrong.
var noBarrier = os.Getenv("ROOKERY_MUTANT") == "no-barrier"

func systemClock() func() time.Time {
	path := os.Getenv("ROOKERY_CLOCK")
	if path == "" {
		return time.Now
	}
	c := &wrongClock{path: path}
	return c.now
}

type wrongClock struct {
	path string

	mu     sync.Mutex
	read   time.Time
	offset time.Duration
}

func (c *wrongClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.read) > 100*time.Millisecond {
		c.read, c.offset = now, 0
		if b, err := os.ReadFile(c.path); err == nil {
			c.offset, _ = time.ParseDuration(strings.TrimSpace(string(b)))
		}
	}
	return now.Add(c.offset)
}
