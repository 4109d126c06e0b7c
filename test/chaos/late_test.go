package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// late is how much later a node hears the others than they hear it.
const late = 300 * time.Millisecond

// TestLateLeader has leaders that hear others late hand their groups over: such
// a leader believes that it leads for a while longer. Whoever reads there then
// must see what was acknowledged elsewhere before.
func TestLateLeader(t *testing.T) {
	if !inside(t) {
		return
	}
	s := raise(t, 12, time.Minute, build{})
	stale, handed := "", 0
	for began := time.Now(); stale == "" && handed == 0 && time.Since(began) < mutantSpan; {
		stale, handed = s.lateLeaders(t.Context(), 20*time.Second)
	}
	t.Logf("%d groups handed over by nodes that hear late", handed)
	if stale != "" {
		t.Error(stale)
	}
	if handed == 0 {
		t.Error("no group was handed over: nothing was tried")
	}
}

// The library's barrier counts answers that were given before the question, so
// it confirms leaders that have been deposed since.
func TestMutantVerifyLeader(t *testing.T) {
	if !inside(t) {
		return
	}
	s := raise(t, 12, time.Minute, build{mutant: "verify-leader"})
	stale, handed := s.lateLeaders(t.Context(), mutantSpan)
	if stale == "" {
		t.Fatalf("%d groups handed over, and nothing old was read", handed)
	}
	t.Logf("caught: %s", stale)
}

// lateLeaders lets one node after the other hear late and drains it, until
// something old was read or the time is over.
func (s *storm) lateLeaders(ctx context.Context, span time.Duration) (stale string, handed int) {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	var hearsLate atomic.Int64
	hearsLate.Store(int64(s.site.place(0)))
	var found atomic.Pointer[string]
	var work sync.WaitGroup
	for _, u := range keepers {
		work.Go(func() {
			for ctx.Err() == nil {
				if old := s.probe(ctx, u, &hearsLate); old != "" {
					found.Store(&old)
					cancel()
				}
			}
		})
	}
	for ctx.Err() == nil {
		k := s.site.busiest()
		hearsLate.Store(int64(k))
		led := len(s.site.ledBy(k))
		mend := s.site.fabric.add(func(_, to int, l *link) {
			if to == k {
				l.delay = late
			}
		})
		s.site.ask("drain", space(k))
		for range 60 {
			if pause(ctx, 100*time.Millisecond); ctx.Err() != nil || len(s.site.ledBy(k)) == 0 {
				break
			}
		}
		handed += max(0, led-len(s.site.ledBy(k)))
		pause(ctx, late)
		mend()
		s.site.patiently("undrain", space(k))
	}
	work.Wait()
	if old := found.Load(); old != nil {
		stale = *old
	}
	return stale, handed
}

// probe files messages through one node and counts them at the node that hears
// late, until the latter is another; it tells what was missing there.
func (s *storm) probe(ctx context.Context, user string, hearsLate *atomic.Int64) string {
	k := int(hearsLate.Load())
	other := s.site.members()[0]
	if other == k {
		other = s.site.members()[1]
	}
	writer, err := dialIMAP(ctx, clientIP(other), user)
	if err != nil {
		return ""
	}
	defer writer.close()
	reader, err := dialIMAP(ctx, clientIP(k), user)
	if err != nil {
		return ""
	}
	defer reader.close()
	for ctx.Err() == nil && int(hearsLate.Load()) == k {
		uid, _, err := writer.append(0, s.id(), 100)
		if err != nil {
			return ""
		}
		lines, _, err := reader.do("STATUS INBOX (UIDNEXT)")
		if err != nil {
			return ""
		}
		for _, l := range lines {
			if next, ok := find(nextUIDRE, l, 1); ok && uint32(next) <= uid {
				return fmt.Sprintf("%s has filed UID %d in the mailbox of %s, and %s then says that UIDNEXT is %d: not linearizable",
					space(other), uid, user, space(k), next)
			}
		}
	}
	return ""
}

// busiest is the node that leads most groups.
func (s *site) busiest() int {
	return slices.MaxFunc(s.members(), func(a, b int) int { return len(s.ledBy(a)) - len(s.ledBy(b)) })
}
