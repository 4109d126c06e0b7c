package pop3

import (
	"bytes"
	"context"
	"net"
	"strings"
	"time"

	"rookery"
)

// session is what a connection knows of its user.
type session struct {
	c        *conn
	signInBy time.Time // zero once signed in
	user     string    // as USER said
	login    string    // the canonical one, once signed in
	drop     maildrop  // nil before sign-in
	onward   net.Conn  // to the node that serves the session
	listing  listing
	deleted  map[int]struct{} // positions marked with DELE
	bytes    uint64           // of what is not marked
	errors   int
	failures int
	fetched  int
	name     string // of the command that runs
	refused  bool   // it was answered with -ERR
}

// transferTime bounds the sending of one message. A client that takes no bytes
// is cut off much sooner, by Limits.Stall.
const transferTime = time.Hour

// do runs one command line; false ends the connection.
func (s *session) do(ctx context.Context, line []byte) bool {
	name, rest, _ := bytes.Cut(line, []byte(" "))
	cmd, ok := verbs[strings.ToUpper(string(name[:min(len(name), 8)]))]
	switch {
	case !ok || len(name) > 8:
		return s.bad("Unknown command")
	case cmd.signedIn && s.drop == nil:
		return s.bad("Sign in first")
	case cmd.before && s.drop != nil:
		return s.bad("Already signed in")
	}
	limit := s.c.server.o.Limits.Work
	if cmd.transfer {
		limit = transferTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.name = strings.ToUpper(string(name))
	return cmd.run(s, ctx, string(rest))
}

// verb is one POP3 command and the state it belongs to; without either it
// belongs to both.
type verb struct {
	before   bool // AUTHORIZATION
	signedIn bool // TRANSACTION
	transfer bool // sends messages, as slowly as the client takes them
	run      func(s *session, ctx context.Context, arg string) bool
}

var verbs = map[string]verb{
	"CAPA": {run: (*session).capa},
	"QUIT": {run: (*session).quit},
	"STLS": {before: true, run: (*session).stls},
	"USER": {before: true, run: (*session).setUser},
	"PASS": {before: true, run: (*session).pass},
	"AUTH": {before: true, run: (*session).auth},
	"STAT": {signedIn: true, run: (*session).stat},
	"LIST": {signedIn: true, run: (*session).list},
	"UIDL": {signedIn: true, run: (*session).uidl},
	"RETR": {signedIn: true, transfer: true, run: (*session).retr},
	"TOP":  {signedIn: true, transfer: true, run: (*session).top},
	"DELE": {signedIn: true, run: (*session).dele},
	"RSET": {signedIn: true, run: (*session).rset},
	"NOOP": {signedIn: true, run: (*session).noop},
}

// bad answers a command that makes no sense here; a client that keeps on
// talking nonsense is sent away.
func (s *session) bad(format string, a ...any) bool {
	s.c.err(format, a...)
	s.errors++
	return s.errors < s.c.server.o.Limits.Errors
}

// capa lists what the state allows (RFC 2449 5).
func (s *session) capa(_ context.Context, _ string) bool {
	c := s.c
	c.ok("Capabilities follow")
	for _, line := range []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "IMPLEMENTATION Rookery"} {
		c.line("%s", line)
	}
	if s.drop == nil && c.secure {
		c.line("USER")
		c.line("SASL PLAIN")
	}
	if s.drop == nil && !c.secure && c.server.o.TLS != nil {
		c.line("STLS")
	}
	c.line(".")
	return true
}

// stls begins TLS (RFC 2595 4). Everything said before is forgotten.
func (s *session) stls(ctx context.Context, _ string) bool {
	c := s.c
	if c.secure || c.server.o.TLS == nil {
		return s.bad("TLS is active already or not set up")
	}
	c.ok("Begin TLS")
	if c.w.Flush() != nil {
		return false
	}
	s.user = ""
	return c.handshake(ctx)
}

// rest is called before the connection waits.
func (s *session) rest() {
	if s.drop != nil {
		s.drop.rest()
	}
}

// end is called when the connection is over.
func (s *session) end() {
	s.rest()
	if s.drop != nil {
		s.c.logger.Info("pop3: session ends", "user", s.login, "retrieved", s.fetched)
	}
}

// quit ends the session; in the TRANSACTION state it enters UPDATE and removes
// what was marked.
func (s *session) quit(ctx context.Context, _ string) bool {
	if s.drop != nil && len(s.deleted) > 0 {
		if err := s.update(ctx); err != nil {
			text := responses[rookery.KindOf(err)]
			s.logRefusal(text, "Deleted messages are not removed", err)
			if !strings.HasPrefix(text, "[SYS/") {
				text = "[SYS/TEMP] Try again later"
			}
			s.c.err("%s; some deleted messages are not removed", text)
			return false
		}
	}
	s.c.ok("Bye")
	return false
}
