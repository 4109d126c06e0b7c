package smtp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"rookery/protocols/signin"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestSignIn(t *testing.T) {
	plain := b64("\x00anna\x00secret")
	for name, talk := range map[string]func(*client){
		"PLAIN": func(c *client) { c.do("AUTH PLAIN "+plain, "235 ") },
		"PLAIN without initial response": func(c *client) {
			if got := c.do("AUTH PLAIN", "334 "); got != "334 \r\n" {
				c.t.Errorf("%q", got)
			}
			c.do(plain, "235 ")
		},
		"LOGIN": func(c *client) {
			c.do("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n")
			c.do(b64("anna"), "334 UGFzc3dvcmQ6\r\n")
			c.do(b64("secret"), "235 ")
		},
		"LOGIN with initial response": func(c *client) {
			c.do("AUTH LOGIN "+b64("anna"), "334 UGFzc3dvcmQ6\r\n")
			c.do(b64("secret"), "235 ")
		},
		"after a cancelled one": func(c *client) {
			c.do("AUTH LOGIN", "334 ")
			c.do("*", "501 ")
			c.do("AUTH PLAIN "+plain, "235 ")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Submissions, nil)
			c := r.dialTLS()
			c.t = t
			if ehlo := c.hello(); !strings.Contains(ehlo, "250-AUTH PLAIN LOGIN\r\n") || strings.Contains(ehlo, "STARTTLS") {
				t.Fatalf("%q", ehlo)
			}
			c.do("MAIL FROM:<anna@example.com>", "530 5.7.0 ")
			talk(c)
			c.do("MAIL FROM:<bert@example.com>", "553 5.7.1 ")
			c.do("MAIL FROM:<Anna+x@example.com>", "250 ")
			c.do("RCPT TO:<far@example.org>", "250 ")
			c.do("RCPT TO:<bert@example.com>", "250 ")
			c.do("DATA", "354 ")
			c.do("From: Anna <anna@example.com>\r\n\r\nhello\r\n.", "250 ")
			m := r.store.taken()[0]
			if !strings.Contains(m, "with ESMTPSA (TLS1.3 TLS_") || !strings.Contains(m, "\r\nDate: ") || !strings.Contains(m, "\r\nMessage-ID: <") {
				t.Fatalf("%q", m)
			}
			c.do("MAIL FROM:<>", "250 ")
			c.do("RCPT TO:<bert@example.com>", "250 ")
			c.do("DATA", "354 ")
			c.do("From: Bert <bert@example.com>\r\n\r\nhello\r\n.", "550 5.7.1 ")
		})
	}
}

func TestSubmissionForgivesLineEndings(t *testing.T) {
	r := newRig(t, Submissions, nil)
	c := r.dialTLS()
	c.hello()
	c.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "235 ")
	send := func(body, want string) {
		c.do("MAIL FROM:<anna@example.com>", "250 ")
		c.do("RCPT TO:<bert@example.com>", "250 ")
		c.do("DATA", "354 ")
		c.do(body+"\r\n.", want)
	}
	send("From: anna@example.com\n\none\n.\ntwo\x00", "250 ")
	m := r.store.taken()[0]
	if !strings.HasSuffix(m, "\r\none\r\n.\r\ntwo\x80\r\n") || !strings.Contains(m, "\r\n\t(repaired 4 bare LF, 1 NUL)\r\n\tfor <") {
		t.Fatalf("%q", m)
	}
	send("From: anna@example.com\r\n\r\nan end behind CR\r", "250 ")
	send("From: anna@example.com\r\n\r\n.\rX", "250 ")
	if m := r.store.taken()[2]; !strings.HasSuffix(m, "\r\n\r\n\r\nX\r\n") {
		t.Fatalf("%q", m)
	}
}

func TestSignInIsRefusedInClear(t *testing.T) {
	r := newRig(t, Submission, nil)
	c := r.dial()
	if ehlo := c.hello(); strings.Contains(ehlo, "AUTH") || !strings.Contains(ehlo, "STARTTLS") {
		t.Fatalf("%q", ehlo)
	}
	c.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "538 5.7.11 ")
	c.do("MAIL FROM:<anna@example.com>", "530 ")
	// What follows STARTTLS in clear is thrown away, not run.
	c.do("STARTTLS", "220 ")
	c.secure()
	if ehlo := c.do("EHLO again", "250-"); !strings.Contains(ehlo, "AUTH PLAIN LOGIN") {
		t.Fatalf("%q", ehlo)
	}
	c.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "235 ")
	c.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "503 ")
}

func TestSTARTTLSForgetsWhatCameInClear(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	c.do("MAIL FROM:<injected@example.org>", "250 ")
	c.do("STARTTLS", "220 ")
	c.secure()
	c.do("RCPT TO:<anna@example.com>", "503 ")
	c.do("EHLO again", "250-")
	c.do("RCPT TO:<anna@example.com>", "503 ")
	c.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "502 ")
	c.envelope("anna@example.com")
	c.do("DATA", "354 ")
	c.do("a: b\r\n\r\n"+strings.Repeat("words and words and words\r\n", 5000)+".", "250 ")
	if m := r.store.taken()[0]; !strings.Contains(m, "with ESMTPS (") {
		t.Fatalf("%q", m[:300])
	}
}

func TestSignInFailures(t *testing.T) {
	people := &people{}
	r := newRig(t, Submissions, func(o *Options) { o.SignIn = signIn(people, signin.Limits{Failures: 3}) })
	r.people = people
	c := r.dialTLS()
	c.hello()
	r.people.away = true
	c.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "454 4.7.0 ")
	r.people.away = false
	c.do("AUTH PLAIN "+b64("\x00anna\x00wrong"), "535 5.7.8 ")
	c.do("AUTH PLAIN "+b64("bert\x00anna\x00secret"), "535 5.7.8 ")
	// What was sent ahead is not tried any more.
	c.send("AUTH PLAIN " + b64("\x00gone\x00x") + "\r\nAUTH PLAIN " + b64("\x00anna\x00secret") + "\r\nMAIL FROM:<>\r\n")
	c.want("421 4.7.0 ")
	if b, _ := c.r.ReadByte(); b != 0 {
		t.Fatal("the connection goes on")
	}
}

func TestEarlyTalker(t *testing.T) {
	r := newRig(t, MX, func(o *Options) { o.Limits.GreetingDelay = 300 * time.Millisecond })
	c := r.dial()
	c.send("EHLO spam\r\n")
	c.want("554 5.5.1 ")
	c.closed()
	c = r.dial()
	c.hello()
}

func TestOpeningHasADeadline(t *testing.T) {
	r := newRig(t, Submissions, func(o *Options) { o.Limits.Handshake = 100 * time.Millisecond })
	c := r.dial()
	if _, err := c.r.ReadByte(); err == nil {
		t.Fatal("a client that never begins TLS is kept")
	}
	c = r.dialTLS()
	c.want("220 ")
	c.want("421 4.4.2 ")

	r = newRig(t, MX, func(o *Options) { o.Limits.Handshake = 300 * time.Millisecond })
	c = r.dial()
	c.hello()
	c.do("STARTTLS", "220 ")
	if _, err := c.r.ReadString('\n'); err == nil {
		// The engine says why, in clear; then it is over.
		c.r.ReadString('\n')
	}
	if _, err := c.r.ReadByte(); err == nil {
		t.Fatal("a client that never begins TLS is kept")
	}
}

func TestStalledMessageEndsTheConnection(t *testing.T) {
	r := newRig(t, MX, func(o *Options) { o.Limits.Stall = 100 * time.Millisecond })
	c := r.dial()
	c.hello()
	c.envelope("anna@example.com")
	c.do("DATA", "354 ")
	c.send("Subject: slow\r\n\r\nMAIL FROM:<a@b.c>\r\n")
	c.want("451 4.4.2 ")
	c.closed()
	if len(r.store.taken()) != 0 {
		t.Fatal("half a message was taken")
	}
}

func TestShutdownDrains(t *testing.T) {
	r := newRig(t, MX, nil)
	r.store.hold, r.store.entered = make(chan struct{}), make(chan struct{})
	unborn, idle, secure, busy := r.dial(), r.dial(), r.dial(), r.dial()
	unborn.want("220 ")
	idle.hello()
	secure.hello()
	secure.do("STARTTLS", "220 ")
	secure.secure()
	secure.do("EHLO x", "250-")
	busy.hello()
	busy.envelope("anna@example.com")
	busy.do("DATA", "354 ")
	busy.send("a: b\r\n\r\n.\r\nNOOP\r\n")
	<-r.store.entered

	done := make(chan error, 1)
	go func() { done <- r.server.Shutdown(context.Background()) }()
	for _, c := range []*client{unborn, idle, secure} {
		c.want("421 4.3.2 ")
		if _, err := c.r.ReadByte(); err == nil {
			t.Fatal("not closed")
		}
	}
	select {
	case err := <-done:
		t.Fatalf("did not wait for the delivery: %v", err)
	default:
	}
	if c, err := net.Dial("tcp", r.addr); err == nil {
		c.Close()
		t.Error("still accepts connections")
	}
	close(r.store.hold)
	busy.want("250 2.0.0 Accepted")
	busy.want("250 ") // NOOP was there already
	busy.want("421 4.3.2 ")
	busy.closed()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := <-r.served; err != nil {
		t.Fatal(err)
	}
	r.served <- nil
}

func TestShutdownCutsWhenTimeIsUp(t *testing.T) {
	r := newRig(t, MX, nil)
	r.store.hold, r.store.entered = make(chan struct{}), make(chan struct{})
	c := r.dial()
	c.hello()
	c.envelope("anna@example.com")
	c.do("DATA", "354 ")
	c.send("a: b\r\n\r\n.\r\n")
	<-r.store.entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(r.store.hold)
}

func TestSubmissionNeedsTLS(t *testing.T) {
	s := New(Options{Deliver: &store{}})
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	defer ln.Close()
	if err := s.Serve(context.Background(), ln, Submission); err == nil {
		t.Fatal("serves submission without TLS")
	}
}

func TestUTF8(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	c.do("MAIL FROM:<jürgen@example.org>", "553 5.1.7 ")
	c.do("MAIL FROM:<jürgen@bücher.example> SMTPUTF8 BODY=8BITMIME", "250 ")
	c.do("RCPT TO:<anna@example.com>", "250 ")
	c.do("DATA", "354 ")
	c.do("Subject: ü\r\n\r\nx\r\n.", "250 ")
	m := r.store.taken()[0]
	if !strings.HasPrefix(m, "Return-Path: <jürgen@xn--bcher-kva.example>\r\n") || !strings.Contains(m, "with UTF8SMTP id") {
		t.Fatalf("%q", m)
	}
}

func TestTLSVersionIsNamed(t *testing.T) {
	s := &session{conn: &conn{tls: &tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}}
	if got := inBrackets(s.cipher()); got != " (TLS1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)" {
		t.Fatal(got)
	}
}
