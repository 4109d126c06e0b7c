package smtp

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"rookery"
)

// lines keeps a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// of gives the lines of refusals so far, and forgets them.
func (l *lines) of() (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, "msg=refused") || strings.Contains(line, "msg=deferred") {
			found = append(found, line)
		}
	}
	l.b.Reset()
	return found
}

// Every refusal and deferral is one line that says who, what and why.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	log := &lines{}
	r := newRig(t, MX, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	c := r.dial()
	c.hello()
	logged := func(parts ...string) {
		t.Helper()
		c.do("NOOP", "250") // what came before is logged
		got := log.of()
		if len(got) != 1 {
			t.Fatalf("%d lines: %q", len(got), got)
		}
		for _, part := range append(parts, "protocol=smtp session=", "client=127.0.0.1 ") {
			if !strings.Contains(got[0], part) {
				t.Errorf("%q lacks %q", got[0], part)
			}
		}
	}
	c.do("MAIL FROM:<x@example.org> SIZE=99999999999", "552")
	logged("msg=refused", "command=MAIL from=x@example.org code=552")
	c.do("MAIL FROM:<x@example.org>", "250")
	c.do("RCPT TO:<nobody@example.com>", "550")
	logged("msg=refused", "command=RCPT from=x@example.org to=nobody@example.com code=550 why=")
	c.do("RCPT TO:<full@example.com>", "452")
	logged("level=WARN msg=deferred", "to=full@example.com code=452", "error=")
	r.people.away = true
	c.do("RCPT TO:<anna@example.com>", "451")
	logged("msg=deferred", "to=anna@example.com code=451", "error=")
	r.people.away = false
	c.do("RCPT TO:<a\" level=ERROR msg=\"x@example.com>", "501")
	logged("msg=refused", "command=RCPT")
	c.do("RCPT TO:<anna@example.com>", "250")
	if got := log.of(); len(got) > 0 {
		t.Errorf("what was taken is logged as refused: %q", got)
	}
	r.store.fail = rookery.E("deliver", rookery.KindUnavailable, errors.New("some\r\nwords"))
	c.do("DATA", "354")
	c.do("a: b\r\n\r\nc\r\n.", "4")
	logged("level=WARN msg=deferred", "command=DATA from=x@example.org to=anna@example.com code=4", "words")
}
