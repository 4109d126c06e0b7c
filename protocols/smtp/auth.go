package smtp

import (
	"context"
	"errors"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"rookery"
	"rookery/protocols/signin"
)

// AuthMechanisms are offered to users over TLS only.
func (s *session) AuthMechanisms() []string {
	if s.mode == MX || s.tls == nil {
		return nil
	}
	return []string{signin.Plain, signin.Login}
}

// Auth begins a sign-in.
func (s *session) Auth(mech string) (sasl.Server, error) {
	switch {
	case s.mode == MX:
		return nil, gosmtp.ErrAuthUnsupported
	case s.tls == nil:
		return nil, say(538, gosmtp.EnhancedCode{5, 7, 11}, "Sign-in needs TLS: use STARTTLS first")
	case s.tx != nil:
		return nil, say(503, gosmtp.EnhancedCode{5, 5, 1}, "Not during a mail transaction")
	}
	x, err := signin.Begin(mech)
	if err != nil {
		return nil, gosmtp.ErrAuthUnknownMechanism
	}
	return exchange{x, s}, nil
}

// exchange is a sign-in as the engine drives it.
type exchange struct {
	*signin.Exchange
	session *session
}

// Next is sasl.Server's. A malformed response is a lasting error (RFC 4954 4);
// the engine takes every error that is no reply for a temporary one.
func (x exchange) Next(response []byte) ([]byte, bool, error) {
	challenge, done, err := x.Exchange.Next(response)
	c := x.Credentials()
	switch {
	case errors.Is(err, signin.ErrIdentity):
		return nil, false, x.session.signInAsAnother(c.User, err)
	case err != nil:
		return nil, false, say(501, gosmtp.EnhancedCode{5, 5, 2}, "Malformed response")
	case !done:
		return challenge, false, nil
	}
	return nil, true, x.session.signIn(c.User, c.Password)
}

// signInAsAnother answers who wants to act as another user.
func (s *session) signInAsAnother(user string, cause error) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.server.o.Limits.Lookup)
	defer cancel()
	return s.authFailed(ctx, user, rookery.E("sign in", rookery.KindCredentials, cause))
}

// signIn checks a password.
func (s *session) signIn(user, password string) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.server.o.Limits.Lookup)
	defer cancel()
	entry, err := s.server.o.Directory.Authenticate(ctx, user, password)
	if err != nil {
		return s.authFailed(ctx, user, err)
	}
	s.user = &entry
	s.logger.Info("smtp: signed in", "user", entry.Login, "client", s.wire.ip)
	return nil
}

// authFailed answers a failed sign-in: a wrong password late, and the last one
// tolerated with the end of the connection.
func (s *session) authFailed(ctx context.Context, user string, err error) error {
	kind := rookery.KindOf(err)
	s.logger.Warn("smtp: sign-in failed", "user", clean(user), "client", s.wire.ip, "kind", kind.String())
	if kind != rookery.KindCredentials && kind != rookery.KindDisabled {
		return say(454, gosmtp.EnhancedCode{4, 7, 0}, "The directory does not answer, try again later")
	}
	limits := &s.server.o.Limits
	n := s.wire.failed()
	if limits.AuthDelay > 0 {
		pause(ctx, min(limits.AuthDelay<<min(n-1, 4), 10*time.Second))
	}
	if n >= limits.AuthFailures {
		s.wire.kill()
		return say(421, gosmtp.EnhancedCode{4, 7, 0}, "Too many failed sign-ins, closing the connection")
	}
	return answer(err)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
