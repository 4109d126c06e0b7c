package smtp

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// inner is a whole transaction that a smuggler hides behind a doubtful end.
const inner = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<bert@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"

// TestNothingButTheTrueEndEndsAMessage sends every line ending before and after
// the dot, then a hidden transaction, then the true end. Whatever the answer,
// there is at most one message and never one from evil.
func TestNothingButTheTrueEndEndsAMessage(t *testing.T) {
	ends := []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\n\r", "\x00\r\n", "\r\x00\n", "\n\n", "\r\r"}
	for _, secure := range []bool{false, true} {
		r := newRig(t, MX, func(o *Options) { o.Limits.Stall = time.Second; o.Limits.PerAddress = 1000 })
		for _, before := range ends {
			for _, after := range ends {
				t.Run(fmt.Sprintf("%q.%q tls %v", before, after, secure), func(t *testing.T) {
					r.store.messages, r.store.requests = nil, nil
					c := r.dial()
					c.t = t
					c.hello()
					if secure {
						c.do("STARTTLS", "220 ")
						c.secure()
						c.do("EHLO x", "250-")
					}
					c.envelope("anna@example.com")
					c.do("DATA", "354 ")
					c.send("Subject: outer\r\n\r\nwords" + before + "." + after + inner + "\r\n.\r\nQUIT\r\n")
					rest, _ := io.ReadAll(c.r)
					c.Close()
					got := r.store.taken()
					if strings.HasSuffix(before, "\r\n") && before != "\r\r\n" && after == "\r\n" {
						// A true end after all, be the line before it bad or not.
						if want := 2 - strings.Count(before, "\x00"); len(got) != want {
							t.Fatalf("%d messages for two transactions: %q", len(got), rest)
						}
						return
					}
					for _, req := range r.store.requests {
						if req.From != "x@example.org" {
							t.Fatalf("smuggled: %q, replies %q", got, rest)
						}
					}
					if len(got) > 1 {
						t.Fatalf("split: %q", got)
					}
					for _, m := range got {
						// The one variant that the engine repairs: a stuffed dot.
						if strings.ContainsAny(strings.ReplaceAll(m, "\r\n", ""), "\r\n\x00") {
							t.Fatalf("a bare line ending was taken: %q", m)
						}
					}
				})
			}
		}
	}
}

// TestBareEndingsGetAClearAnswerAtOnce leaves the client waiting for a reply,
// as one would that takes its own ending for the true one.
func TestBareEndingsGetAClearAnswerAtOnce(t *testing.T) {
	r := newRig(t, MX, func(o *Options) { o.Limits.Stall = time.Hour })
	for body, goesOn := range map[string]bool{
		"bare\nLF\r\n.\r\n":    true,
		"bare\rCR\r\n.\r\n":    true,
		"nul\x00\r\n.\r\n":     true,
		"two CR\r\r\n.\r\n":    false,
		"\r\r\n.\r\nMAIL\r\n":  false,
		"x\r\r\r\n.\r\n":       true,
		"x\r\n\r\r\n.\r\nQUIT": false,
	} {
		t.Run(fmt.Sprintf("%q", body), func(t *testing.T) {
			c := r.dial()
			c.t = t
			c.hello()
			c.envelope("anna@example.com")
			c.do("DATA", "354 ")
			c.send("Subject: x\r\n\r\n" + body)
			if got := c.want("554 5.6.0 "); !strings.Contains(got, "RFC 5321 2.3.8") {
				t.Errorf("%q", got)
			}
			if goesOn {
				c.do("NOOP", "250 ")
				c.do("QUIT", "221 ")
			}
			c.closed()
		})
	}
	if got := r.store.taken(); len(got) != 0 {
		t.Fatalf("%q", got)
	}
}

// TestSwallowedBytes pins what the engine does to a line that is a dot, CR and
// something else: it loses both. The message is malformed, and is neither split
// nor left hanging for ever.
func TestSwallowedBytes(t *testing.T) {
	r := newRig(t, MX, func(o *Options) { o.Limits.Stall = 200 * time.Millisecond })
	c := r.dial()
	c.hello()
	c.envelope("anna@example.com")
	c.do("DATA", "354 ")
	c.send("a: b\r\n\r\n.\r\r\n.\r\n" + inner)
	c.want("250 ")
	if got := r.store.taken(); len(got) != 1 || strings.Contains(got[0], "evil") && r.store.requests[0].From != "x@example.org" {
		t.Fatalf("%q", got)
	}
}

// pieces is the ending tracker fed with every split of a text.
func TestEndingAcrossReads(t *testing.T) {
	text := "words\r\n\r\r\n.\r\nmore"
	for i := range len(text) {
		for j := i; j <= len(text); j++ {
			var e ending
			found := e.saw([]byte(text[:i]))
			found = e.saw([]byte(text[i:j])) || found
			found = e.saw([]byte(text[j:])) || found
			if !found {
				t.Fatalf("%q %q %q: not found", text[:i], text[i:j], text[j:])
			}
		}
	}
	var e ending
	for i := range "x\r\n.\r\n" {
		if e.saw([]byte("x\r\n.\r\n"[i : i+1])) {
			t.Fatal("found too much")
		}
	}
	if !e.looksFinished() {
		t.Fatal("a lone dot is not seen")
	}
}

func FuzzSMTPSession(f *testing.F) {
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\nS: x\r\n\r\nbody\r\n.\r\nQUIT\r\n"))
	f.Add([]byte("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<anna@example.com>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\n\r\nRSET\r\n"))
	f.Add([]byte("EHLO x\r\nAUTH PLAIN AGEAYg==\r\nSTARTTLS\r\n"))
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\n\r\r\n.\r\n" + inner))
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\n.\r\r\n.\r\n" + inner))
	r := newRig(f, MX, func(o *Options) { o.Limits.PerAddress = 1 << 20; o.Limits.Stall = 100 * time.Millisecond })
	f.Fuzz(func(t *testing.T, input []byte) {
		c := r.dialFor(t)
		c.want("220 ")
		go func() {
			c.Write(input)
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		replies, err := io.ReadAll(c.r)
		c.Close()
		if err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "pipe") {
			t.Fatalf("%q: %v", input, err)
		}
		for line := range strings.Lines(string(replies)) {
			if len(line) < 6 || line[0] < '2' || line[0] > '5' || !strings.HasSuffix(line, "\r\n") {
				t.Fatalf("%q is answered %q", input, line)
			}
		}
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		for _, m := range r.store.messages {
			if strings.ContainsAny(strings.ReplaceAll(m, "\r\n", ""), "\r\n\x00") {
				t.Fatalf("a bare line ending was taken: %q", m)
			}
		}
		r.store.messages, r.store.requests = nil, nil
	})
}
