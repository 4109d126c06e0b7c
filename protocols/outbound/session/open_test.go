package session_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/protocols/outbound/session"
)

func TestOpenFails(t *testing.T) {
	for name, c := range map[string]struct {
		p     *peer
		stage session.Stage
		code  int
		kind  rookery.Kind
	}{
		"banner 554":    {&peer{banner: "554 5.7.1 go away\r\n"}, session.AtBanner, 554, rookery.KindDenied},
		"banner 421":    {&peer{banner: "421-4.3.2 later\r\n421 4.3.2 please\r\n|close"}, session.AtBanner, 421, rookery.KindUnavailable},
		"banner lost":   {&peer{banner: "close"}, session.AtBanner, 0, rookery.KindUnavailable},
		"banner cut":    {&peer{banner: "220 pee|close"}, session.AtBanner, 0, rookery.KindUnavailable},
		"HTTP":          {&peer{banner: "HTTP/1.1 400 Bad Request\r\n"}, session.AtBanner, 0, rookery.KindUnavailable},
		"endless line":  {&peer{banner: "220 " + strings.Repeat("x", 1<<20) + "\r\n"}, session.AtBanner, 0, rookery.KindUnavailable},
		"endless lines": {&peer{banner: strings.Repeat("220-x\r\n", 1<<17)}, session.AtBanner, 0, rookery.KindUnavailable},
		"two codes":     {&peer{banner: "220-x\r\n250 x\r\n"}, session.AtBanner, 0, rookery.KindUnavailable},
		"EHLO, HELO 550": {
			&peer{replies: map[string]string{"EHLO": "502 no\r\n", "HELO": "550 5.7.1 no\r\n"}}, session.AtHello, 550, rookery.KindDenied,
		},
		"EHLO 450":  {&peer{replies: map[string]string{"EHLO": "450 4.7.0 later\r\n"}}, session.AtHello, 450, rookery.KindUnavailable},
		"EHLO lost": {&peer{replies: map[string]string{"EHLO": "close"}}, session.AtHello, 0, rookery.KindUnavailable},
		"EHLO of a 1 MiB": {
			&peer{replies: map[string]string{"EHLO": strings.Repeat("250-X\r\n", 1<<17)}}, session.AtHello, 0, rookery.KindUnavailable,
		},
	} {
		_, err := session.Open(t.Context(), c.p.listen(t), session.Options{Hello: "us.example"})
		var e *session.Error
		if !errors.As(err, &e) || e.Stage != c.stage || e.Reply.Code != c.code || !rookery.Is(err, c.kind) {
			t.Errorf("%s: %v (%v)", name, err, rookery.KindOf(err))
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	_, err = session.Open(t.Context(), session.Peer{Addr: to}, session.Options{Hello: "us.example"})
	var e *session.Error
	if !errors.As(err, &e) || e.Stage != session.AtConnect || !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("%v", err)
	}
}

// A peer that knows no EHLO is greeted with HELO, and sent nothing of an
// extension.
func TestHELO(t *testing.T) {
	p := &peer{features: []string{"PIPELINING"}, replies: map[string]string{
		"EHLO": "500 what\r\n", "HELO": "250-PIPELINING\r\n250 SIZE 1\r\n",
	}}
	s := dial(t, p, session.Options{})
	if _, ok := s.Offers("SIZE"); ok {
		t.Error("the text of HELO was taken for an offer")
	}
	if st := send(t, s, envelope(t, "a@there.example"), plain); st[0].Outcome != session.Accepted {
		t.Errorf("%+v", st)
	}
}

// slow is a peer that says one octet of a reply each second, for ever.
func slow(conn net.Conn) {
	for {
		if _, err := io.WriteString(conn, "2"); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// Each stage ends by its time, whatever the peer does meanwhile.
func TestTimeouts(t *testing.T) {
	silent := func(conn net.Conn) { io.Copy(io.Discard, conn) }
	for name, c := range map[string]struct {
		p     *peer
		raw   func(net.Conn) // instead of the peer
		stage session.Stage
		after time.Duration
	}{
		"silent":       {raw: silent, stage: session.AtBanner, after: 5 * time.Minute},
		"drips banner": {raw: slow, stage: session.AtBanner, after: 5 * time.Minute},
		"silent EHLO":  {p: hooked("EHLO", silent), stage: session.AtHello, after: 5 * time.Minute},
		"drips EHLO":   {p: hooked("EHLO", slow), stage: session.AtHello, after: 5 * time.Minute},
		"silent MAIL":  {p: hooked("MAIL", silent), stage: session.AtMail, after: 5 * time.Minute},
		"drips RCPT":   {p: hooked("RCPT", slow), stage: session.AtRcpt, after: 5 * time.Minute},
		"silent DATA":  {p: hooked("DATA", silent), stage: session.AtData, after: 2 * time.Minute},
		"silent BDAT":  {p: hooked("BDAT", silent, "CHUNKING"), stage: session.AtEnd, after: 10 * time.Minute},
		"drips BDAT":   {p: hooked("BDAT", slow, "CHUNKING"), stage: session.AtEnd, after: 10 * time.Minute},
		"reads nothing": {
			p:     hooked("DATA", func(c net.Conn) { io.WriteString(c, "354 go on\r\n"); time.Sleep(24 * time.Hour) }),
			stage: session.AtData, after: 3*time.Minute + time.Second,
		},
		"reads an octet a second": {p: hooked("DATA", func(c net.Conn) {
			io.WriteString(c, "354 go on\r\n")
			for _, err := c.Read(make([]byte, 1)); err == nil; _, err = c.Read(make([]byte, 1)) {
				time.Sleep(time.Second)
			}
		}), stage: session.AtData, after: 3*time.Minute + time.Second},
		"reads a block in two minutes": {p: hooked("DATA", func(c net.Conn) {
			io.WriteString(c, "354 go on\r\n")
			for b := make([]byte, 64<<10); ; time.Sleep(2 * time.Minute) {
				if _, err := c.Read(b); err != nil {
					return
				}
			}
		}), stage: session.AtData, after: time.Hour + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				serve := c.raw
				if c.p != nil {
					serve = c.p.serve
				}
				var served sync.WaitGroup
				defer served.Wait()
				o := session.Options{Hello: "us.example", Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
					a, b := net.Pipe()
					served.Go(func() { serve(b); b.Close() })
					return a, nil
				}}
				text := "S: x\r\n\r\n" + strings.Repeat("line\r\n", 1<<20)
				if c.stage == session.AtEnd {
					text = plain
				}
				start := time.Now()
				s, err := session.Open(t.Context(), session.Peer{}, o)
				var stage session.Stage
				var e *session.Error
				if errors.As(err, &e) {
					stage = e.Stage
				} else {
					st := send(t, s, envelope(t, "a@there.example"), text)
					s.Close()
					if st[0].Outcome != session.Lost {
						t.Fatalf("%+v", st)
					}
					stage = st[0].Stage
				}
				if took := time.Since(start); stage != c.stage || took > c.after {
					t.Errorf("ended at %v after %v, want %v after %v", stage, took, c.stage, c.after)
				}
			})
		})
	}
}

// hooked is a peer that does something after a command instead of answering.
func hooked(verb string, do func(net.Conn), features ...string) *peer {
	return &peer{features: features, hook: map[string]func(net.Conn){verb: func(c net.Conn) { do(c); c.Close() }}}
}
