package chaos

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/smtp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// sender sends messages one after the other until ctx ends or the server is
// gone, and writes every answer into the ledger.
type sender struct {
	addr   string
	users  []string
	ledger *ledger
	serial *atomic.Int64
	rnd    *rand.Rand
}

func (s *sender) run(ctx context.Context) {
	for ctx.Err() == nil {
		s.connection(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *sender) connection(ctx context.Context) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		if s.message(c) != nil {
			return
		}
	}
}

func (s *sender) message(c *smtp.Client) error {
	to := []string{s.users[s.rnd.IntN(len(s.users))]}
	if s.rnd.IntN(3) == 0 {
		to = s.users // several accounts, most likely in several groups
	}
	id := fmt.Sprintf("a%08d", s.serial.Add(1))
	if err := c.Mail("load@example.net"); err != nil {
		return err
	}
	for _, addr := range to {
		if err := c.Rcpt(addr); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	s.ledger.begin(id, to)
	if _, err := io.WriteString(w, s.text(id)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	s.ledger.ack(id)
	return nil
}

func (s *sender) text(id string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: load@example.net\r\nTo: all@example.test\r\nSubject: %s\r\nMessage-ID: <%s@example.net>\r\n\r\n", id, id)
	size := s.rnd.IntN(4 << 10)
	if s.rnd.IntN(10) == 0 {
		size = 300<<10 + s.rnd.IntN(700<<10) // travels in several entries
	}
	line := strings.Repeat(string(rune('a'+s.rnd.IntN(26))), 70) + "\r\n"
	for b.Len() < size {
		b.WriteString(line)
	}
	return b.String()
}

// inbox reads UID -> Subject of a user's INBOX, without the welcome message.
func inbox(addr string, conf *tls.Config, login, password string) (validity uint32, box map[uint32]string, err error) {
	c, err := imapclient.DialTLS(addr, &imapclient.Options{TLSConfig: conf})
	if err != nil {
		return 0, nil, err
	}
	defer c.Close()
	if err := c.Login(login, password).Wait(); err != nil {
		return 0, nil, err
	}
	sel, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return 0, nil, err
	}
	box = map[uint32]string{}
	if sel.NumMessages == 0 {
		return sel.UIDValidity, box, nil
	}
	all := imap.SeqSet{}
	all.AddRange(1, 0)
	msgs, err := c.Fetch(all, &imap.FetchOptions{UID: true, Envelope: true}).Collect()
	if err != nil {
		return 0, nil, err
	}
	for _, m := range msgs {
		if !strings.HasPrefix(m.Envelope.Subject, "Welcome") {
			box[uint32(m.UID)] = m.Envelope.Subject
		}
	}
	return sel.UIDValidity, box, c.Logout().Wait()
}
