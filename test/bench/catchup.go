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

// ofAway are the figures of a node that was away.
var ofAway = []unit{{"s", "time to catch up", "s", true}, {"rate", "caught up", "messages per s", false},
	{"before", "mail through the others before", "messages per s", false}, {"during", "mail through the others meanwhile", "messages per s", false},
	{"mailgap", "longest wait for an accepted message", "ms", true}, {"readgap", "longest wait for a STATUS", "ms", true}}

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
		}, ofAway)
	}
	return nil
}

func awayFor(s *side, n, size int) (map[string]float64, error) {
	const senders = 40
	first := *s
	first.nodes = s.nodes[:gone]
	watch := watchers(&first)
	time.Sleep(10 * time.Second)
	before := watch.stop()
	if err := s.cluster.order("kill", gone); err != nil {
		return nil, err
	}
	begin := time.Now()
	var send errgroup.Group
	for i := range senders {
		send.Go(func() error {
			var err error
			for range 3 { // the killed node led some groups
				if err = sendMany(&first, i+1, size, n/senders); err == nil {
					return nil
				}
				time.Sleep(2 * time.Second)
			}
			return err
		})
	}
	if err := send.Wait(); err != nil {
		return nil, err
	}
	log.Printf("%d messages came in within %v", n, time.Since(begin).Round(time.Second))
	watch = watchers(&first)
	begin = time.Now()
	err := s.cluster.order("start", gone)
	if err == nil {
		err = s.cluster.caughtUp(gone, 0, 5*time.Minute)
	}
	took := time.Since(begin)
	during := watch.stop()
	return map[string]float64{"s": took.Seconds(), "rate": float64(n) / took.Seconds(), "before": before.rate, "during": during.rate,
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
