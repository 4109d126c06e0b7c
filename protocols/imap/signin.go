package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"time"

	"rookery"
	"rookery/protocols/imap/wire"
	"rookery/protocols/proxy"
	"rookery/protocols/signin"
)

// signInFamily holds the commands of the not-authenticated state (RFC 9051
// 6.2).
func signInFamily() family {
	open := func(s *session) bool { return s.secure }
	return family{
		commands: []*cmd{
			plain("STARTTLS", notAuthenticated, tellNothing, (*session).runStartTLS),
			define("LOGIN", notAuthenticated, tellNothing, parseLogin, (*session).runLogin),
			waiting(define("AUTHENTICATE", notAuthenticated, tellNothing, parseAuthenticate, (*session).runAuthenticate)),
		},
		caps: []capability{
			{name: "STARTTLS", in: notAuthenticated, when: func(s *session) bool { return !s.secure && s.srv.o.TLS != nil }},
			{name: "LOGINDISABLED", in: notAuthenticated, when: func(s *session) bool { return !s.secure }},
			{name: "AUTH=PLAIN", in: notAuthenticated, when: open},
			{name: "AUTH=LOGIN", in: notAuthenticated, when: open},
		},
	}
}

// runStartTLS turns to TLS. Octets that came in the clear behind the command
// could have been put there by anyone: they end the connection.
func (s *session) runStartTLS(context.Context) error {
	if s.secure {
		return bad("the connection is under TLS already")
	}
	if s.srv.o.TLS == nil {
		return bad("the server offers no TLS")
	}
	if s.in.Buffered() > 0 {
		s.bye = true
		return bad("STARTTLS must be the last command before TLS; closing the connection")
	}
	s.status(s.tag, &reply{"OK", "", "Begin TLS negotiation now"})
	if err := s.out.Flush(); err != nil {
		return err
	}
	s.conn = tls.Server(s.raw, s.srv.o.TLS)
	s.raw.SetReadDeadline(time.Time{})
	s.in.Reset(s.conn)
	s.out.Reset(s.conn)
	if !s.handshake() {
		s.bye = true
		s.Cut()
		return errSilent
	}
	s.secure = true
	return errSilent
}

// errSilent ends a command whose tagged reply has been sent.
var errSilent = &reply{}

func parseLogin(_ *session, l *wire.Lexer) signin.Credentials {
	var c signin.Credentials
	l.SP()
	c.User = l.AString()
	l.SP()
	c.Password = l.AString()
	l.End()
	return c
}

var errPrivacy = no("PRIVACYREQUIRED", "Passwords travel under TLS only: use STARTTLS or the implicit-TLS port")

func (s *session) runLogin(ctx context.Context, c signin.Credentials) error {
	if !s.secure {
		return errPrivacy
	}
	return s.signIn(ctx, c)
}

type saslStart struct {
	mechanism string
	initial   string
	given     bool // an initial response came along (SASL-IR, RFC 4959)
}

func parseAuthenticate(_ *session, l *wire.Lexer) saslStart {
	var a saslStart
	l.SP()
	a.mechanism = strings.ToUpper(l.Atom())
	if l.Accept(' ') {
		a.given = true
		a.initial = l.AString()
	}
	l.End()
	return a
}

func (s *session) runAuthenticate(ctx context.Context, a saslStart) error {
	if !s.secure {
		return errPrivacy
	}
	c, err := signin.Run(a.mechanism, a.initial, a.given, s.challenge)
	switch {
	case err == nil:
		return s.signIn(ctx, c)
	case errors.Is(err, signin.ErrMechanism):
		return no("", "The mechanism is not supported; use PLAIN or LOGIN")
	case errors.Is(err, signin.ErrIdentity):
		return no("AUTHORIZATIONFAILED", "Signing in on behalf of another user is not possible")
	case errors.Is(err, signin.ErrCancelled):
		return bad("AUTHENTICATE was cancelled")
	case errors.Is(err, signin.ErrBase64), errors.Is(err, signin.ErrMalformed):
		return bad("%s", err.Error())
	}
	return err
}

// challenge sends one and reads the response. The challenge of no octets is
// "+ " (RFC 9051 6.2.2).
func (s *session) challenge(challenge string) (string, error) {
	s.out.Text("+ ").Text(challenge).CRLF()
	s.measure()
	s.lex.Begin(s.lexLimits())
	line := s.lex.Line()
	return line, s.lex.Err()
}

// signIn checks a password and opens the account, here or on the node that
// serves it: then the client hears the OK from here, with what that node can do.
func (s *session) signIn(ctx context.Context, c signin.Credentials) error {
	if err := s.out.Flush(); err != nil { // the answer may be delayed
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.srv.limits.Run)
	defer cancel()
	at := signin.Attempt{Protocol: proxy.IMAP, Session: s.id, Client: proxy.ClientOf(s.raw), TLS: proxy.TLSOf(s.conn)}
	r, err := s.srv.o.SignIn.SignIn(ctx, at, c)
	if err != nil {
		return s.signInFailed(&r, err)
	}
	capabilities := r.Text
	if s.onward = r.Onward; s.onward == nil {
		if err := s.enterAccount(ctx, r.Account); err != nil {
			return err
		}
	}
	s.login, s.state = r.Entry.Login, authenticated
	if s.onward == nil {
		s.enter(r.Account)
		capabilities = s.srv.registry.capabilities(s)
	}
	s.done = reply{"OK", "CAPABILITY " + capabilities, "Signed in"}
	return nil
}

// enterAccount opens the account, as it is now, and counts the session.
func (s *session) enterAccount(ctx context.Context, id rookery.AccountID) error {
	a, err := s.srv.o.Accounts.Open(ctx, id)
	if err != nil {
		return atSignIn(err)
	}
	if err := a.Sync(ctx); err != nil {
		return atSignIn(err)
	}
	if err := s.open(ctx, a); err != nil {
		return atSignIn(err)
	}
	if !s.srv.acquire(s, slot{id, s.peer()}) {
		return errTooMany
	}
	return nil
}

// atSignIn keeps errors of the storage from looking like a wrong password or
// a missing mailbox: whatever it is, it is not the user's name.
func atSignIn(err error) error {
	switch rookery.KindOf(err) {
	case rookery.KindLimit, rookery.KindUnavailable, rookery.KindUnknown:
		return err
	}
	return rookery.E("open account", rookery.KindUnavailable, err)
}

// signInFailed answers a client that has not got in, and gives up after some
// failures.
func (s *session) signInFailed(r *signin.Result, err error) error {
	if signin.Failed(err) {
		if s.failures++; s.failures >= s.srv.o.SignIn.Failures() {
			s.out.Text("* BYE Too many failures to sign in\r\n")
			s.bye = true
		}
	}
	switch {
	case errors.Is(err, signin.ErrOverdrawn):
		return no("LIMIT", "Too many failed sign-ins; try again later")
	case rookery.Is(err, rookery.KindLimit) && r.Account != (rookery.AccountID{}):
		return errTooMany // says the node that serves the account
	case r.Entry.Key == "" && !signin.Failed(err):
		return no("UNAVAILABLE", "The directory cannot be asked now; try again later")
	}
	return err
}
