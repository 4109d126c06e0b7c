package outbound

import (
	"sync"
	"time"

	"rookery"
	"rookery/storage/command"
)

// The brake: where within brakeWindow more than one in brakeShare of the
// recipients that are done with has failed for good, and those that failed are of
// brakeDomains domains at least, something is wrong that is not theirs. Then
// messages that would go back are held instead.
const (
	brakeWindow  = 10 * time.Minute
	brakeShare   = 5
	brakeDomains = 50
	// brakeTold is for how long it is reported after it last held something.
	brakeTold = 24 * time.Hour
)

// brake counts what became of recipients, by minutes. Each courier has its own:
// who comes to lead counts anew, and lets at most brakeDomains domains' worth of
// bounces go before it holds some too. What is held stays so, in the queue.
type brake struct {
	mu      sync.Mutex
	minutes []tally
	last    time.Time // when it last held something
}

// tally is what became of recipients in one minute.
type tally struct {
	began        time.Time
	done, failed int
	domains      map[string]bool // of those that failed, at most brakeDomains
}

// note counts a recipient that is done with.
func (b *brake) note(now time.Time, to rookery.Address, failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.minutes) > 0 && now.Sub(b.minutes[0].began) >= brakeWindow {
		b.minutes = b.minutes[1:]
	}
	if n := len(b.minutes); n == 0 || now.Sub(b.minutes[n-1].began) >= time.Minute {
		b.minutes = append(b.minutes, tally{began: now, domains: map[string]bool{}})
	}
	m := &b.minutes[len(b.minutes)-1]
	m.done++
	if failed {
		m.failed++
		if len(m.domains) < brakeDomains {
			m.domains[to.Domain] = true
		}
	}
}

// on reports whether messages that would go back are held.
func (b *brake) on(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	done, failed, domains := 0, 0, map[string]bool{}
	for _, m := range b.minutes {
		if now.Sub(m.began) >= brakeWindow {
			continue
		}
		done += m.done
		failed += m.failed
		for d := range m.domains {
			domains[d] = true
		}
	}
	if failed*brakeShare <= done || len(domains) < brakeDomains {
		return false
	}
	b.last = now
	return true
}

// braked counts a recipient whose message has failed for good, and reports whether
// that is held instead of going back. What was held once, and released, goes back.
func (c *Couriers) braked(r result, now time.Time) bool {
	if r.l.header.Kind != command.Message {
		return false
	}
	c.brake.note(now, r.l.address, true)
	if r.l.row.Braked || !c.brake.on(now) {
		return false
	}
	c.o.Logger.Warn("outbound: so many messages fail at once that they are held, and do not go back", "item", itemID(r.l.Item))
	return true
}

// Braked is when this node last held messages that would have gone back, since so
// many failed at once; zero where that was not in the last 24 hours.
func (c *Couriers) Braked() time.Time {
	c.brake.mu.Lock()
	defer c.brake.mu.Unlock()
	if c.brake.last.IsZero() || c.o.Clock().Sub(c.brake.last) > brakeTold {
		return time.Time{}
	}
	return c.brake.last
}
