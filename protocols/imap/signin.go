package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"time"

	"rookery"
	"rookery/protocols/imap/wire"
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
			{"STARTTLS", notAuthenticated, func(s *session) bool { return !s.secure && s.srv.o.TLS != nil }},
			{"LOGINDISABLED", notAuthenticated, func(s *session) bool { return !s.secure }},
			{"AUTH=PLAIN", notAuthenticated, open},
			{"AUTH=LOGIN", notAuthenticated, open},
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
		s.cut()
		return errSilent
	}
	s.secure = true
	return errSilent
}

// errSilent ends a command whose tagged reply has been sent.
var errSilent = &reply{}

type credentials struct{ login, password string }

func parseLogin(_ *session, l *wire.Lexer) credentials {
	var c credentials
	l.SP()
	c.login = l.AString()
	l.SP()
	c.password = l.AString()
	l.End()
	return c
}

var errPrivacy = no("PRIVACYREQUIRED", "Passwords travel under TLS only: use STARTTLS or the implicit-TLS port")

func (s *session) runLogin(ctx context.Context, c credentials) error {
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
		return s.signIn(ctx, credentials{c.User, c.Password})
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

// signIn checks a password and opens the account.
func (s *session) signIn(ctx context.Context, c credentials) error {
	ctx, cancel := context.WithTimeout(ctx, s.srv.limits.Run)
	defer cancel()
	start := time.Now()
	entry, err := s.srv.o.Directory.Authenticate(ctx, c.login, c.password)
	switch rookery.KindOf(err) {
	case rookery.KindCredentials, rookery.KindDisabled, rookery.KindNotFound, rookery.KindInvalid:
		if err != nil {
			return s.signInFailed(ctx, c.login, err)
		}
	}
	if err != nil {
		s.srv.log.Warn("IMAP sign-in could not be decided", "peer", s.peer(), "login", clip(c.login, 100), "err", err)
		return no("UNAVAILABLE", "The directory cannot be asked now; try again later")
	}
	if entry.Disabled {
		return s.signInFailed(ctx, c.login, rookery.E("sign in", rookery.KindDisabled, nil))
	}
	quota := entry.Quota
	if quota == 0 {
		quota = s.srv.o.DefaultQuota
	}
	id, err := s.srv.o.Accounts.Ensure(ctx, entry.Owner(), quota)
	if err != nil {
		return atSignIn(err)
	}
	if n := s.srv.o.Nodes; n != nil {
		if here, err := n.Here(ctx, id); err != nil {
			return atSignIn(err)
		} else if !here {
			return s.goOn(ctx, id, entry)
		}
	}
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
	s.srv.failures.forget(s.failureKey(c.login))
	s.login, s.state = entry.Login, authenticated
	s.done = reply{"OK", "CAPABILITY " + s.srv.registry.capabilities(s), "Signed in"}
	s.srv.log.Info("IMAP sign-in", "peer", s.peer(), "login", entry.Login, "account", id.String(), "ms", time.Since(start).Milliseconds())
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

// signInFailed answers after a delay that grows, and gives up after some.
func (s *session) signInFailed(ctx context.Context, login string, err error) error {
	delay := s.srv.failures.add(s.failureKey(login), s.srv.limits.FailureDelay, time.Now())
	s.srv.log.Info("IMAP sign-in refused", "peer", s.peer(), "login", clip(login, 100), "err", err)
	if e := s.out.Flush(); e != nil {
		return e
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-s.srv.stopping:
	}
	if s.failures++; s.failures >= s.srv.limits.SignInFailures {
		s.out.Text("* BYE Too many failures to sign in\r\n")
		s.bye = true
	}
	return no("AUTHENTICATIONFAILED", "The user name or the password is wrong")
}

func (s *session) failureKey(login string) string {
	return rookery.FoldLocal(clip(login, 200)) + "\x00" + s.peer()
}
