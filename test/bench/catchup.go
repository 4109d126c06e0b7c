package main

import (
	"context"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// gone is the node that is away, counted from 0.
const gone = 2

// catchup: how long a node takes to catch up that was away while messages came
// in, and what clients of the others notice. All of it comes from the others'
// logs, as long as these have room.
func (b *bench) catchup() error {
	for _, n := range []int{30000, b.away} {
		b.each(fmt.Sprintf("node that was away for %d messages of 4 KiB", n), func(s *side) (map[string]float64, error) {
			if s.cluster == nil || s.cluster.size < 3 {
				return nil, fmt.Errorf("it has no node that may be away")
			}
			return awayFor(s, n, 4<<10)
		}, []unit{{"s", "time to catch up", "s", true}, {"rate", "caught up", "messages per s", false},
			{"before", "mail through the others before", "messages per s", false},
			{"during", "mail through the others meanwhile", "messages per s", false},
			{"mailgap", "longest wait for an accepted message", "ms", true}, {"readgap", "longest wait for a STATUS", "ms", true}})
	}
	return nil
}

func awayFor(s *side, n, size int) (map[string]float64, error) {
	a, err := leaves(s)
	if err == nil {
		err = a.misses(n, size)
	}
	if err != nil {
		return nil, err
	}
	return a.returns(n)
}

// away is a cluster without one of its nodes.
type away struct {
	*side
	others side
	before noted
}

// leaves has the node be killed, after a look at how the others serve.
func leaves(s *side) (*away, error) {
	a := &away{side: s, others: *s}
	a.others.nodes = s.nodes[:gone]
	watch := watchers(&a.others)
	time.Sleep(10 * time.Second)
	a.before = watch.stop()
	return a, s.cluster.order("kill", gone)
}

// misses has messages come in through the others.
func (a *away) misses(n, size int) error {
	const senders = 40
	begin := time.Now()
	var send errgroup.Group
	for i := range senders {
		send.Go(func() error {
			var err error
			for range 3 { // the killed node led some groups
				if err = sendMany(&a.others, i+1, size, n/senders); err == nil {
					return nil
				}
				time.Sleep(2 * time.Second)
			}
			return err
		})
	}
	err := send.Wait()
	log.Printf("%d messages came in within %v", n, time.Since(begin).Round(time.Second))
	return err
}

// returns starts the node again and waits until it has what the others had at
// that moment: so many messages.
func (a *away) returns(n int) (map[string]float64, error) {
	watch := watchers(&a.others)
	begin := time.Now()
	err := a.cluster.order("start", gone)
	if err == nil {
		err = a.cluster.caughtUp(gone, 0, 5*time.Minute)
	}
	took := time.Since(begin)
	during := watch.stop()
	return map[string]float64{"s": took.Seconds(), "rate": float64(n) / took.Seconds(), "before": a.before.rate, "during": during.rate,
		"mailgap": during.mail, "readgap": during.read}, err
}

// watcher is a small steady load that notes how long it waits.
type watcher struct {
	cancel context.CancelFunc
	work   sync.WaitGroup
	begin  time.Time
	sent   atomic.Int64
	mu     sync.Mutex
	mail   time.Duration // longest waits
	read   time.Duration
}

// noted is what a watcher saw, in messages per second and milliseconds.
type noted struct{ rate, mail, read float64 }

func watchers(s *side) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{cancel: cancel, begin: time.Now()}
	for i := range 4 {
		w.watch(ctx, s, 60+i)
	}
	return w
}

// watch sends mail to a user and looks at its INBOX, over and over.
func (w *watcher) watch(ctx context.Context, s *side, user int) {
	w.work.Go(func() {
		w.repeat(ctx, &w.mail, func() error {
			if err := sendMany(s, user, 4<<10, 1); err != nil {
				return err
			}
			w.sent.Add(1)
			return nil
		})
	})
	w.work.Go(func() {
		w.repeat(ctx, &w.read, func() error {
			c, err := signIn(s, user)
			if err != nil {
				return err
			}
			defer c.close()
			_, err = c.messages()
			return err
		})
	})
}

// repeat does it over and over, and again until it succeeds; longest is the
// longest time to a success.
func (w *watcher) repeat(ctx context.Context, longest *time.Duration, do func() error) {
	for ctx.Err() == nil {
		begin := time.Now()
		for do() != nil && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		w.mu.Lock()
		*longest = max(*longest, time.Since(begin))
		w.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *watcher) stop() noted {
	w.cancel()
	w.work.Wait()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return noted{float64(w.sent.Load()) / time.Since(w.begin).Seconds(), ms(w.mail), ms(w.read)}
}
