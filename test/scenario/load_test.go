package scenario

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/textproto"
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
	large  int // every how many messages one is large
	pause  time.Duration

	mu           sync.Mutex
	acknowledged map[string]bool // of all that were sent
	refused      []string        // what nodes that live said instead of 250
	slowest      time.Duration   // of those acknowledged, since calm
}

func startLoad(t *testing.T, d *harness.Dev, nodes ...harness.Node) *load {
	return startPaced(t, d, 4, 20*time.Millisecond, nodes...)
}

// startPaced is startLoad with a pause after each message of a sender.
func startPaced(t *testing.T, d *harness.Dev, large int, pause time.Duration, nodes ...harness.Node) *load {
	var to []string
	for _, u := range d.Facts.Users {
		to = append(to, u.Login)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, cancel: cancel, large: large, pause: pause, acknowledged: map[string]bool{}}
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
		if i%l.large == 0 {
			body = incompressible(400_000) // goes in stages
		}
		began := time.Now()
		err := send(n.SMTP, to, "Subject: "+subject+"\r\nX-Digest: "+digest(body)+"\r\n\r\n"+body)
		l.mu.Lock()
		l.acknowledged[subject] = err == nil
		if answer := new(textproto.Error); errors.As(err, &answer) {
			l.refused = append(l.refused, fmt.Sprintf("%s: %v", n.Name, answer))
		} else if err == nil {
			l.slowest = max(l.slowest, time.Since(began))
		}
		l.mu.Unlock()
		wait := l.pause
		if err != nil {
			wait = 100 * time.Millisecond // the node is down: the next try may wait
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// digest names a text.
func digest(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// refusals are those since the last call, with the slowest message since then.
func (l *load) refusals() ([]string, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, s := l.refused, l.slowest
	l.refused, l.slowest = nil, 0
	return r, s
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
	ctx, cancel := context.WithTimeout(l.t.Context(), harness.Patience(time.Minute))
	defer cancel()
	if err := harness.Poll(ctx, func() (bool, error) { return l.count() >= want, nil }); err != nil {
		l.t.Fatalf("%s no mail is taken any more: %d of %d", when, l.count(), want)
	}
}

// stop ends the senders; then acknowledged may be read.
func (l *load) stop() { l.cancel(); l.wg.Wait() }
