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
	c.do("STARTTLS now", "500 ")
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
// then a command beyond it.
func TestLongLines(t *testing.T) {
	r := newRig(t, MX, func(o *Options) { o.Limits.LineLength = 1000 })
	c := r.dial()
	c.hello()
	c.envelope("anna@example.com")
	c.do("DATA", "354 ")
	c.do("a: b\r\n\r\n"+strings.Repeat("x", 100_000)+"\r\n.", "250 ")
	c.send("NOOP " + strings.Repeat("x", 5000))
	c.want("500 5.5.2 ")
	c.closed()
}
