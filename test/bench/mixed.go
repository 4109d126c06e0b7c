package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"rookery/test/bench/process"
)

// mixed: clients that sign in, look around, read, file and delete one message,
// and sign out, over and over, for a set time.
func (b *bench) mixed() error {
	for _, s := range b.sides {
		if err := prepare(s, users, 50, 4<<10); err != nil {
			return err
		}
	}
	for _, clients := range []int{1, 20, 100} {
		b.each(fmt.Sprintf("mixed IMAP over TLS, %d clients", clients), func(s *side) (map[string]float64, error) {
			return mixedOnce(s, clients, 10*time.Second)
		}, []unit{{"rate", "commands", "per s", false}, {"cpu", "server CPU", "ms per command", true}})
	}
	return nil
}

func mixedOnce(s *side, clients int, span time.Duration) (map[string]float64, error) {
	var commands atomic.Int64
	before, begin := process.CPU(s.roots()), time.Now()
	var g errgroup.Group
	for i := range clients {
		g.Go(func() error {
			for serial := 0; time.Since(begin) < span; serial++ {
				n, err := mixedSession(s, i+1, serial)
				commands.Add(int64(n))
				if err != nil {
					return fmt.Errorf("client %d: %w", i+1, err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	n, took := float64(commands.Load()), time.Since(begin)
	return map[string]float64{"rate": n / took.Seconds(), "cpu": float64((process.CPU(s.roots()) - before).Milliseconds()) / n}, nil
}

// mixedSession is one session; it gives how many commands were answered.
func mixedSession(s *side, user, serial int) (int, error) {
	c, err := signIn(s, user)
	if err != nil {
		return 0, err
	}
	defer c.close()
	done := 1
	for _, cmd := range []string{
		`LIST "" "*"`, "STATUS INBOX (MESSAGES UNSEEN UIDNEXT)", "SELECT INBOX", "FETCH 1:* (UID FLAGS)",
		"FETCH 1:20 (ENVELOPE RFC822.SIZE INTERNALDATE)",
		fmt.Sprintf("FETCH %d (BODY.PEEK[])", 1+serial%40),
		fmt.Sprintf(`STORE %d +FLAGS (\Seen)`, 1+serial%40),
	} {
		if _, err := c.quiet("%s", cmd); err != nil {
			return done, err
		}
		done++
	}
	if err := c.append_("INBOX", message(4<<10, serial, sender)); err != nil {
		return done, err
	}
	for _, cmd := range []string{`STORE 1 +FLAGS (\Deleted)`, "EXPUNGE", "LOGOUT"} {
		if _, err := c.quiet("%s", cmd); err != nil {
			return done, err
		}
		done++
	}
	return done + 1, nil
}

// prepare gives each of the first n users a mailbox of so many messages.
func prepare(s *side, n, messages, size int) error {
	var g errgroup.Group
	g.SetLimit(10)
	for i := range n {
		g.Go(func() error {
			if err := empty(s, i+1); err != nil {
				return err
			}
			c, err := signIn(s, i+1)
			if err != nil {
				return err
			}
			defer c.close()
			for k := range messages {
				if err := c.append_("INBOX", message(size, k, sender)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
