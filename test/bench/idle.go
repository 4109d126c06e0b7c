package main

import (
	"time"

	"golang.org/x/sync/errgroup"

	"rookery/test/bench/process"
)

// idle: memory per IMAP connection over TLS that has a mailbox of 1,000
// messages selected and sits in IDLE.
func (b *bench) idle() error {
	const conns, boxes = 1000, 25
	for _, s := range b.sides {
		if err := prepare(s, boxes, 1000, 2<<10); err != nil {
			return err
		}
	}
	b.each("idle IMAP connection over TLS, 1,000 messages", func(s *side) (map[string]float64, error) {
		if s.restart != nil {
			if err := s.restart(); err != nil {
				return nil, err
			}
		}
		// One session of each mailbox first: its caches are not the
		// connections'.
		for i := range boxes {
			c, err := signIn(s, i+1)
			if err != nil {
				return nil, err
			}
			if _, err := c.quiet("SELECT INBOX"); err != nil {
				return nil, err
			}
			c.close()
		}
		time.Sleep(5 * time.Second)
		before := process.Memory(s.roots())
		open := make([]*client, conns)
		defer func() {
			for _, c := range open {
				if c != nil {
					c.close()
				}
			}
		}()
		var g errgroup.Group
		g.SetLimit(20)
		for i := range open {
			g.Go(func() error {
				c, err := signIn(s, 1+i%boxes)
				if err != nil {
					return err
				}
				open[i] = c
				if _, err := c.quiet("SELECT INBOX"); err != nil {
					return err
				}
				if _, err := c.send("IDLE"); err != nil {
					return err
				}
				_, err = c.line()
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		time.Sleep(10 * time.Second)
		return map[string]float64{"kib": float64(process.Memory(s.roots())-before) / 1024 / conns}, nil
	}, []unit{{"kib", "memory", "KiB per connection", true}})
	return nil
}
