package pop3

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"rookery"
	"rookery/directory"
	"rookery/protocols/signin"
)

// lines is what was logged, for who writes and reads at once.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// refusing is a directory whose answers are all one error.
type refusing struct {
	people
	err error
}

func (r *refusing) Authenticate(context.Context, string, string) (directory.Entry, error) {
	return directory.Entry{}, r.err
}

// TestRefusalsOfSignIn: every refusal has its response code (RFC 3206, RFC 2449
// 8.1), says what the client may know, and no more, and stands in the log once.
func TestRefusalsOfSignIn(t *testing.T) {
	const secret = "the log alone has this"
	proven := func(c directory.Cause) error {
		return directory.Refuse("bind", directory.Refusal{Cause: c, Proven: true, Text: secret})
	}
	failed := func(k rookery.Kind) error { return rookery.E("bind", k, errors.New(secret)) }
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"expired":        {proven(directory.CauseExpired), "-ERR [AUTH] The password has expired and must be changed first"},
		"disabled":       {proven(directory.CauseDisabled), "-ERR [AUTH] The account is disabled; ask your administrator"},
		"not allowed":    {proven(directory.CauseForbidden), "-ERR [AUTH] The account may not sign in now, or not from here"},
		"locked":         {proven(directory.CauseLocked), "-ERR [AUTH] The account is locked after too many wrong passwords"},
		"wrong password": {failed(rookery.KindCredentials), "-ERR [AUTH] Wrong user name or password"},
		"not proven": {directory.Refuse("bind", directory.Refusal{Cause: directory.CauseExpired, Text: secret}),
			"-ERR [AUTH] Wrong user name or password"},
		"directory away":      {failed(rookery.KindUnavailable), "-ERR [SYS/TEMP] The service is not available, try again later"},
		"a doubtful outcome":  {failed(rookery.KindUnknown), "-ERR [SYS/TEMP] The service is not available, try again later"},
		"a busy directory":    {failed(rookery.KindLimit), "-ERR [SYS/TEMP] The service is not available, try again later"},
		"a damaged directory": {failed(rookery.KindDamaged), "-ERR [SYS/TEMP] The service is not available, try again later"},
	} {
		t.Run(name, func(t *testing.T) {
			var log lines
			logger := slog.New(slog.NewTextHandler(&log, nil))
			r := newRig(t, TLS, newBox(letters...), func(o *Options) {
				o.Logger = logger
				o.SignIn = signin.New(signin.Options{Directory: &refusing{err: c.err}, Limits: signin.Limits{Delay: -1}, Logger: logger})
			})
			cl := r.dial(t)
			cl.secure()
			cl.want("+OK")
			cl.do("USER anna", "+OK")
			if got := cl.do("PASS two words", "-ERR"); strings.TrimSpace(got) != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			cl.do("STAT", "-ERR Sign in first")
			cl.do("QUIT", "+OK")
			cl.closed()
			if n := strings.Count(log.String(), "user=anna"); n != 1 || !strings.Contains(log.String(), secret) {
				t.Errorf("the log has it %d times: %s", n, log.String())
			}
		})
	}
}

// TestMailboxIsNeverInUse: a second session opens the same mailbox beside the
// first, where RFC 1939 lets a server answer IN-USE: a phone that lost its
// connection is not locked out by it.
func TestMailboxIsNeverInUse(t *testing.T) {
	r := newRig(t, TLS, newBox(letters...), nil)
	for range 2 {
		c := r.dial(t)
		c.secure()
		c.want("+OK")
		c.do("USER anna", "+OK")
		c.do("PASS two words", "+OK 4 messages")
	}
}

// TestRefusalsOfCommands have the code of their cause, on the connection and in
// the log.
func TestRefusalsOfCommands(t *testing.T) {
	for kind, code := range map[rookery.Kind]string{
		rookery.KindUnavailable: "SYS/TEMP", rookery.KindUnknown: "SYS/TEMP", rookery.KindLimit: "SYS/TEMP", rookery.KindMoved: "SYS/TEMP",
		rookery.KindDamaged: "SYS/PERM", rookery.KindDenied: "SYS/PERM",
	} {
		var log lines
		b := newBox(letters...)
		r := newRig(t, TLS, b, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		c := r.dial(t)
		c.secure()
		c.want("+OK")
		c.do("USER anna", "+OK")
		c.do("PASS two words", "+OK")
		b.mu.Lock()
		b.err = rookery.E("box", kind, nil)
		b.mu.Unlock()
		c.do("RETR 1", "-ERR ["+code+"]")
		c.do("QUIT", "+OK")
		c.closed()
		if !strings.Contains(log.String(), code) || !strings.Contains(log.String(), "command=RETR") {
			t.Errorf("%v: the log does not have the refusal: %s", kind, log.String())
		}
	}
}
