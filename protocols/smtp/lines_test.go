package smtp

import (
	"strings"
	"testing"
)

func TestHELOIsTracedAsSMTP(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.want("220 ")
	c.do("HELO client.example.org", "250 ")
	c.envelope("anna@example.com")
	c.do("DATA", "354 ")
	c.do("a: b\r\n\r\n.", "250 ")
	if m := r.store.taken()[0]; !strings.Contains(m, " with SMTP id ") {
		t.Fatalf("%q", m)
	}
}

func TestOnlySTARTTLSBeginsTLS(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	c.do("STARTTLSFOO", "500 ")
	c.do("STARTTLS now", "501 ")
	c.do("NOOP", "250 ")
	c.do("starttls", "220 ")
	c.secure()
	c.do("EHLO x", "250-")
	c.do("STARTTLS", "502 ")
}

// TestChunkOfUnknownLength sends chunks whose end cannot be known.
func TestChunkOfUnknownLength(t *testing.T) {
	for _, size := range []string{"-1", "0x10", "99999999999999999999", "5 LASTER", "", "5 LAST LAST"} {
		r := newRig(t, MX, nil)
		c := r.dial()
		c.hello()
		c.envelope("anna@example.com")
		c.send("BDAT " + size + "\r\nRSET\r\n" + inner)
		c.want("501 ")
		c.closed()
	}
}

// TestLongLines sends a message of one line beyond the limit of commands, and
// then commands beyond it: those are refused and the session goes on, until one
// has no end.
func TestLongLines(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	c.envelope("anna@example.com")
	c.do("DATA", "354 ")
	c.do("a: b\r\n\r\n"+strings.Repeat("x", 100_000)+"\r\n.", "250 ")
	c.do("MAIL FROM:<a@"+strings.Repeat("\u6f22", 5000)+">", "500 5.5.2 The command line is longer than 4096 bytes")
	c.do("NOOP "+strings.Repeat("x", 4089), "250 ") // 4,096 bytes
	c.do("NOOP "+strings.Repeat("x", 4090), "500 5.5.2 ")
	c.do("NOOP", "250 ")
	c.send("NOOP " + strings.Repeat("x", 80_000))
	c.want("500 5.5.2 The line is too long, closing")
	c.closed()
}

// TestLongLinesArePipelined has a line that is too long between others.
func TestLongLinesArePipelined(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	c.send("MAIL FROM:<x@example.org>\r\nRCPT TO:<" + strings.Repeat("y", 5000) + "@example.com>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\n")
	for _, want := range []string{"250 ", "500 5.5.2 ", "250 ", "354 "} {
		c.want(want)
	}
	c.do("a: b\r\n\r\nx\r\n.", "250 ")
}

func TestLongResponse(t *testing.T) {
	r := newRig(t, Submissions, nil)
	c := r.dialTLS()
	c.hello()
	c.do("AUTH PLAIN", "334 ")
	c.do(strings.Repeat("A", 5000), "500 5.5.6 ")
	c.do("NOOP", "250 ")
}

// TestBareLFEndsNoCommand sends lines that RFC 5321 2.3.8 does not know: each is
// answered, none is run.
func TestBareLFEndsNoCommand(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	c.do("MAIL FROM:<x@example.org>", "250 ")
	c.send("RCPT TO:<anna@example.com>\nRSET\nNOOP\r\n")
	c.want("500 5.5.2 ")
	c.want("500 5.5.2 ")
	c.want("250 ")
	c.do("DATA", "503 ")
	c.do("RCPT TO:<anna@example.com>", "250 ")
}

// TestCommandsBesideMail asks for what is not told.
func TestCommandsBesideMail(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.want("220 mail.example.com ESMTP ready\r\n")
	c.do("NOOP", "250 2.0.0 ")
	c.do("EHLO", "501 5.5.4 ")
	c.do("MAIL FROM:<>", "503 5.5.1 ")
	c.do("AUTH PLAIN", "503 5.5.1 ")
	c.do("ehlo me", "250-mail.example.com\r\n")
	c.do("VRFY anna", "252 ")
	c.do("EXPN list", "502 ")
	c.do("HELP", "214 ")
	c.do("NOOP with words", "250 ")
	c.do("RSET now", "501 5.5.4 ")
	c.do("DATA", "503 ")
	c.do("QUIT now", "501 ")
	c.do("quit", "221 ")
	c.closed()
}

// TestNoiseEndsTheConnection sends lines that are no commands. A message between
// them begins the count anew.
func TestNoiseEndsTheConnection(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	for range 2 {
		for range maxBad - 1 {
			c.do("GET / HTTP/1.1", "500 ")
		}
		c.envelope("anna@example.com")
		c.do("DATA", "354 ")
		c.do("a: b\r\n\r\nx\r\n.", "250 ")
	}
	c.send(strings.Repeat("\r\n", 50) + "NOOP\r\n")
	for range maxBad - 1 {
		c.want("500 ")
	}
	c.want("421 4.7.0 ")
	c.closed()
}
