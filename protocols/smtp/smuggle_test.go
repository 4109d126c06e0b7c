package smtp

import (
	"fmt"
	"io"
	"slices"
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
		r := newRig(t, MX, func(o *Options) { o.Limits.Stall = 20 * time.Second })
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
					if before == "\r\n" && after == "\r\n" {
						if len(got) != 2 {
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
	for _, body := range []string{"bare\nLF\r\n.\r\n", "bare\rCR\r\n.\r\n", "nul\x00\r\n.\r\n", "two CR\r\r\n.\r\n",
		"\r\r\n.\r\nMAIL\r\n", "x\r\r\r\n.\r\n", "x\r\n\r\r\n.\r\nQUIT", "x\r\n.\rX\r\n.\r\n" + inner} {
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
			c.closed()
		})
	}
	if got := r.store.taken(); len(got) != 0 {
		t.Fatalf("%q", got)
	}
}

func FuzzSMTPSession(f *testing.F) {
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\nS: x\r\n\r\nbody\r\n.\r\nQUIT\r\n"))
	f.Add([]byte("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<anna@example.com>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\n\r\nRSET\r\n"))
	f.Add([]byte("EHLO x\r\nAUTH PLAIN AGEAYg==\r\nSTARTTLS\r\n"))
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\n\r\r\n.\r\n" + inner))
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\n.\r\r\n.\r\n" + inner))
	f.Add([]byte("EHLO x\r\nMAIL FROM:<\"a b\"@b.c> SIZE=9 BODY=8BITMIME RET=HDRS ENVID=a+2Bb\r\nRCPT TO:<@x,@y:anna@example.com> " +
		"NOTIFY=DELAY,FAILURE ORCPT=rfc822;a\r\n" +
		"BDAT 9 LAST\r\nS: x\r\n\r\nxNOOP\nHELP\r\nVRFY a\r\n"))
	r := newRig(f, MX, func(o *Options) { o.Limits.Stall = 100 * time.Millisecond })
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
		// What got 250 is stored, what did not is not.
		var answered, stored []string
		for line := range strings.Lines(string(replies)) {
			if id, ok := strings.CutPrefix(line, "250 2.0.0 Accepted as "); ok {
				answered = append(answered, strings.TrimSpace(id))
			}
		}
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		for _, req := range r.store.requests {
			stored = append(stored, req.ID)
		}
		if !slices.Equal(answered, stored) {
			t.Fatalf("%q: 250 for %q, stored are %q", input, answered, stored)
		}
		for _, m := range r.store.messages {
			if strings.ContainsAny(strings.ReplaceAll(m, "\r\n", ""), "\r\n\x00") {
				t.Fatalf("a bare line ending was taken: %q", m)
			}
		}
		r.store.messages, r.store.requests = nil, nil
	})
}
