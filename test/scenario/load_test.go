package scenario

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"rookery/test/harness"
)

// load sends mail to every user through some nodes, two senders each, and
// keeps what was answered.
type load struct {
	t      *testing.T
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu           sync.Mutex
	acknowledged map[string]bool // of all that were sent
}

func startLoad(t *testing.T, d *harness.Dev, nodes ...harness.Node) *load {
	var to []string
	for _, u := range d.Facts.Users {
		to = append(to, u.Login)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, cancel: cancel, acknowledged: map[string]bool{}}
	for _, n := range nodes {
		for range 2 {
			l.wg.Go(func() { l.send(ctx, n, to) })
		}
	}
	return l
}

func (l *load) send(ctx context.Context, n harness.Node, to []string) {
	for i := 0; ctx.Err() == nil; i++ {
		subject := "through " + n.Name + " " + rand.Text()
		body := "hi\r\n"
		if i%4 == 0 {
			body = incompressible(400_000) // goes in stages
		}
		err := send(n.SMTP, to, "Subject: "+subject+"\r\n\r\n"+body)
		l.mu.Lock()
		l.acknowledged[subject] = err == nil
		l.mu.Unlock()
		wait := 20 * time.Millisecond
		if err != nil {
			wait = 100 * time.Millisecond // the node is down: the next try may wait
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func (l *load) count() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ok := range l.acknowledged {
		if ok {
			n++
		}
	}
	return n
}

// more waits until ten more messages were taken.
func (l *load) more(when string) {
	l.t.Helper()
	want := l.count() + 10
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	if err := harness.Poll(ctx, func() (bool, error) { return l.count() >= want, nil }); err != nil {
		l.t.Fatalf("%s no mail is taken any more: %d of %d", when, l.count(), want)
	}
}

// stop ends the senders; then acknowledged may be read.
func (l *load) stop() { l.cancel(); l.wg.Wait() }
