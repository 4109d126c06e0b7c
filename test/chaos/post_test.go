package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/smtp"
	"net/textproto"
	"time"
)

// keepers are the accounts whose INBOX grows for the whole run and is read
// through every node at the end.
var keepers = []string{"keeper0", "keeper1", "keeper2", "keeper3"}

// post sends mail through one node after the other until ctx ends.
func (s *storm) post(ctx context.Context, n int, rnd *rand.Rand) {
	for ctx.Err() == nil {
		s.posts(ctx, n, rnd)
		pause(ctx, 100*time.Millisecond)
	}
}

func (s *storm) posts(ctx context.Context, n int, rnd *rand.Rand) {
	conn, err := net.DialTimeout("tcp", clientIP(s.site.place(n))+":25", 2*time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(answerWithin))
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		conn.SetDeadline(time.Now().Add(answerWithin))
		if err := s.message(c, rnd); err != nil {
			var p *textproto.Error
			if !errors.As(err, &p) {
				return
			}
			if p.Code >= 500 {
				s.fail([]string{fmt.Sprintf("SMTP refused for ever: %v", p)})
			}
			if c.Reset() != nil {
				return
			}
			pause(ctx, 200*time.Millisecond)
		}
		pause(ctx, time.Duration(60+rnd.IntN(140))*time.Millisecond)
	}
}

func (s *storm) message(c *smtp.Client, rnd *rand.Rand) error {
	id := s.id()
	var to, kept []string
	var cells []*cell
	if rnd.IntN(3) == 0 {
		kept = append(kept, keepers[rnd.IntN(len(keepers))])
	} else {
		n := 1
		if rnd.IntN(3) == 0 {
			n = 3
		}
		cells = s.pick(rnd, n)
	}
	defer s.release(cells)
	for _, c := range cells {
		to = append(to, c.login)
	}
	if len(cells) > 1 {
		kept = append(kept, keepers[rnd.IntN(len(keepers))])
	}
	to = append(to, kept...)
	if len(to) == 0 {
		return nil
	}
	name := "mail to one"
	if len(to) > 1 {
		name = "mail to several"
	}
	if err := c.Mail("load@example.net"); err != nil {
		s.count(name, "no")
		return err
	}
	for _, u := range to {
		if err := c.Rcpt(u + "@example.test"); err != nil {
			s.count(name, "no")
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		s.count(name, "no")
		return err
	}
	s.ledger.begin(id, kept)
	entries := make([]*entry, len(cells))
	for i, c := range cells {
		entries[i] = c.begin(10, input{kind: opAppend, id: id})
	}
	size := rnd.IntN(4000)
	if rnd.IntN(60) == 0 {
		size = 300_000 + rnd.IntN(400_000) // travels in several entries
	}
	s.sent(id, size)
	_, err = io.WriteString(w, messageText(id, size))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		s.count(name, "unknown")
		return err
	}
	s.accepted()
	s.count(name, "ok")
	s.ledger.ack(id)
	now := time.Now()
	for i, c := range cells {
		c.mu.Lock()
		// The 250 follows the commit in one group: the first recipient's where
		// every node has a replica of each, else one that the node has.
		late := i > 0 || len(to) > 1 && s.site.short
		entries[i].out.unknown, entries[i].ret, entries[i].eventually = false, now, late
		entries[i].client = 1000 + i
		c.mu.Unlock()
	}
	return nil
}
