package main

import (
	"fmt"
	"log"
	"time"

	"golang.org/x/sync/errgroup"
)

// bigUser owns the big mailbox and takes part in no other load.
const bigUser = users

// bigbox: what a client that opens a mailbox of 100,000 messages waits for.
func (b *bench) bigbox() error {
	for _, s := range b.sides {
		begin := time.Now()
		if err := fillBig(s, b.big); err != nil {
			return fmt.Errorf("fill on %s: %w", s.name, err)
		}
		log.Printf("filled %s with %d messages in %v", s.name, b.big, time.Since(begin).Round(time.Second))
	}
	first := b.runs
	b.runs = 1
	b.each("first SELECT of the big mailbox", func(s *side) (map[string]float64, error) {
		return timed(s, nil, "SELECT INBOX")
	}, []unit{{"ms", "time", "ms", true}})
	b.runs = first
	b.each("SELECT of the big mailbox", func(s *side) (map[string]float64, error) {
		return timed(s, nil, "SELECT INBOX")
	}, []unit{{"ms", "time", "ms", true}})
	for _, cmd := range []string{"FETCH 1:* (FLAGS)", "FETCH 1:* (BODY.PEEK[HEADER])"} {
		b.each(cmd+" of the big mailbox", func(s *side) (map[string]float64, error) {
			return timed(s, []string{"SELECT INBOX"}, cmd)
		}, []unit{{"ms", "time", "ms", true}})
	}
	return nil
}

func timed(s *side, before []string, cmd string) (map[string]float64, error) {
	c, err := signIn(s, bigUser)
	if err != nil {
		return nil, err
	}
	defer c.close()
	for _, x := range before {
		if _, err := c.quiet("%s", x); err != nil {
			return nil, err
		}
	}
	begin := time.Now()
	if _, err := c.quiet("%s", cmd); err != nil {
		return nil, err
	}
	return map[string]float64{"ms": float64(time.Since(begin).Microseconds()) / 1000}, nil
}

func fillBig(s *side, n int) error {
	if s.fill != nil {
		return s.fill(bigUser, n, message(2<<10, 1, sender))
	}
	const lanes = 20
	var g errgroup.Group
	for lane := range lanes {
		g.Go(func() error {
			c, err := signIn(s, bigUser)
			if err != nil {
				return err
			}
			defer c.close()
			for i := range n / lanes {
				if err := c.append_("INBOX", message(2<<10, lane*1000000+i, sender)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
