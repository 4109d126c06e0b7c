package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"rookery/test/bench/process"
)

// pop3: download of mailboxes of 1,000 messages of 4.7 KiB, leaving them there.
func (b *bench) pop3() error {
	const each = 1000
	for _, s := range b.sides {
		if err := prepare(s, 10, each, 4800); err != nil {
			return err
		}
	}
	for _, conns := range []int{1, 10} {
		b.each(fmt.Sprintf("POP3 download over TLS, %d connections", conns), func(s *side) (map[string]float64, error) {
			before, begin := process.CPU(s.roots()), time.Now()
			var g errgroup.Group
			for i := range conns {
				g.Go(func() error { return download(s, i+1, each) })
			}
			if err := g.Wait(); err != nil {
				return nil, err
			}
			n := float64(conns * each)
			took := time.Since(begin)
			return map[string]float64{"rate": n / took.Seconds(), "cpu": float64((process.CPU(s.roots()) - before).Milliseconds()) / n}, nil
		}, []unit{{"rate", "messages", "per s", false}, {"cpu", "server CPU", "ms per message", true}})
	}
	return nil
}

func download(s *side, user, n int) error {
	c, err := dialTLS(s.at(user).pop3s)
	if err != nil {
		return err
	}
	defer c.close()
	ok := func(cmd string) error {
		if cmd != "" {
			fmt.Fprintf(c.w, "%s\r\n", cmd)
			if err := c.w.Flush(); err != nil {
				return err
			}
		}
		l, err := c.line()
		if err == nil && !strings.HasPrefix(l, "+OK") {
			err = fmt.Errorf("POP3 %s: %s", cmd, l)
		}
		return err
	}
	for _, cmd := range []string{"", "USER " + s.login(user), "PASS " + s.password} {
		if err := ok(cmd); err != nil {
			return err
		}
	}
	for i := 1; i <= n; i++ {
		if err := ok(fmt.Sprintf("RETR %d", i)); err != nil {
			return err
		}
		for {
			l, err := c.r.ReadSlice('\n')
			if err != nil {
				return err
			}
			if bytes.Equal(l, []byte(".\r\n")) {
				break
			}
		}
	}
	return ok("QUIT")
}
