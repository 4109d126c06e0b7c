package chaos

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestStoppedLeader stops leaders under load. A stopped process keeps its
// connections open and says nothing, so that what was on its way to it when it
// stopped must be taken back from it: every account gets mail through the
// survivors before the leader goes on.
func TestStoppedLeader(t *testing.T) {
	if !inside(t) {
		return
	}
	s := raise(t, 4, time.Minute, build{})
	fastest := time.Hour
	for round := range number(t, "ROOKERY_STOPS", 3) {
		if err := s.site.settled(time.Minute); err != nil {
			t.Fatal(err)
		}
		victim, ok := s.site.leader(2 + round%4)
		if !ok {
			t.Fatal("no leader")
		}
		survivors := slices.DeleteFunc(s.site.members(), func(k int) bool { return k == victim })
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var accepted [8]atomic.Int64 // in unix nanoseconds
		for i := range accepted {
			wg.Go(func() {
				for ctx.Err() == nil {
					if s.deliverTo(survivors[i%2], keepers[i/2]) == nil {
						accepted[i].Store(time.Now().UnixNano())
					}
				}
			})
		}
		all := func(since time.Time) func() bool {
			return func() bool {
				for i := range accepted {
					if accepted[i].Load() < since.UnixNano() {
						return false
					}
				}
				return true
			}
		}
		waitUntil(t, 30*time.Second, "the load does not begin", all(time.Now()))
		stopped := time.Now()
		s.site.signal(victim, syscall.SIGSTOP)
		pause(ctx, 700*time.Millisecond) // what it had taken is answered by now, or never
		waitUntil(t, 30*time.Second, "no mail is accepted for some while "+space(victim)+" is stopped", all(time.Now()))
		took := time.Since(stopped)
		fastest = min(fastest, took)
		t.Logf("round %d: accepted for all %v after the stop", round, took.Round(time.Millisecond))
		s.site.signal(victim, syscall.SIGCONT)
		cancel()
		wg.Wait()
	}
	// Longer than that it takes where calls to the stopped node have to run
	// into their time-outs first.
	if fastest > 8*time.Second {
		t.Errorf("with a leader stopped mail was accepted for all after %v at best", fastest)
	}
}
