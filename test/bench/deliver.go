package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"rookery/test/bench/process"
)

// deliver: S sessions, spread over the nodes, send as fast as each is answered,
// each to its own user; the clock stops when every message is visible over IMAP,
// at the next node.
func (b *bench) deliver() error {
	for _, size := range []int{4 << 10, 64 << 10} {
		for _, sessions := range []int{1, 10, 50} {
			n := map[int]int{1: 400, 10: 2000, 50: 2500}[sessions]
			if size > 4<<10 {
				n = map[int]int{1: 200, 10: 600, 50: 800}[sessions]
			}
			name := fmt.Sprintf("SMTP to IMAP, %d KiB, %d sessions", size>>10, sessions)
			b.each(name, func(s *side) (map[string]float64, error) { return deliverOnce(s, size, sessions, n/sessions) },
				[]unit{{"rate", "messages", "per s", false}, {"cpu", "server CPU", "ms per message", true}})
		}
	}
	return nil
}

func deliverOnce(s *side, size, sessions, each int) (map[string]float64, error) {
	var clear errgroup.Group
	for i := range sessions {
		clear.Go(func() error { return empty(s, i+1) })
	}
	if err := clear.Wait(); err != nil {
		return nil, err
	}
	before, begin := process.CPU(s.roots()), time.Now()
	var send errgroup.Group
	for i := range sessions {
		send.Go(func() error { return sendMany(s, i+1, size, each) })
	}
	if err := send.Wait(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var seen errgroup.Group
	seen.SetLimit(10)
	for i := range sessions {
		seen.Go(func() error { return waitFor(ctx, s, i+1, each) })
	}
	if err := seen.Wait(); err != nil {
		return nil, err
	}
	n, took := float64(sessions*each), time.Since(begin)
	return map[string]float64{"rate": n / took.Seconds(), "cpu": float64((process.CPU(s.roots()) - before).Milliseconds()) / n}, nil
}

func waitFor(ctx context.Context, s *side, user, n int) error {
	c, err := signInAt(s, user, user+1)
	if err != nil {
		return err
	}
	defer c.close()
	for {
		have, err := c.messages()
		if err != nil || have >= n {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s has %d of %d messages", s.address(user), have, n)
		}
	}
}

func sendMany(s *side, user, size, n int) error {
	return sendAll(s.at(user).smtp, n, size, func(k int) (from, to string) { return sender, s.address(user) })
}

// serials number messages.
var serials atomic.Int64

// sendAll sends messages one after the other on one connection.
func sendAll(door string, n, size int, envelope func(k int) (from, to string)) error {
	conn, err := net.Dial("tcp", door)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	step := func(want byte, out []byte) error {
		if out != nil {
			if _, err := conn.Write(out); err != nil {
				return err
			}
		}
		conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		for {
			l, err := r.ReadSlice('\n')
			if err != nil {
				return err
			}
			if len(l) > 3 && l[3] == '-' {
				continue
			}
			if l[0] != want {
				return fmt.Errorf("SMTP: %s", l)
			}
			return nil
		}
	}
	if err := step('2', nil); err != nil {
		return err
	}
	if err := step('2', []byte("EHLO load.example.test\r\n")); err != nil {
		return err
	}
	for i := range n {
		from, to := envelope(i)
		body := append(message(size, int(serials.Add(1)), from), ".\r\n"...)
		for _, c := range []struct {
			want byte
			out  []byte
		}{{'2', []byte("MAIL FROM:<" + from + ">\r\n")}, {'2', []byte("RCPT TO:<" + to + ">\r\n")}, {'3', []byte("DATA\r\n")}, {'2', body}} {
			if err := step(c.want, c.out); err != nil {
				return err
			}
		}
	}
	return step('2', []byte("QUIT\r\n"))
}
