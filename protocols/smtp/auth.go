package smtp

import (
	"context"
	"errors"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
	"rookery"
	"rookery/directory"
)

// AuthMechanisms are offered to users over TLS only. PLAIN comes first; LOGIN
// is what Outlook and many devices speak.
func (s *session) AuthMechanisms() []string {
	if s.mode == MX || s.tls == nil {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
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
	switch mech {
	case sasl.Plain:
		return strict{sasl.NewPlainServer(func(identity, user, password string) error {
			return s.signIn(identity, user, password)
		})}, nil
	case sasl.Login:
		return &login{signIn: func(user, password string) error { return s.signIn("", user, password) }}, nil
	}
	return nil, gosmtp.ErrAuthUnknownMechanism
}

// signIn checks a password. The identity to act as must be the user's own.
func (s *session) signIn(identity, user, password string) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.server.o.Limits.Lookup)
	defer cancel()
	if identity != "" && rookery.FoldLocal(identity) != rookery.FoldLocal(user) {
		return s.authFailed(ctx, user, rookery.E("sign in", rookery.KindCredentials, errors.New("acting as another user is not permitted")))
	}
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

// strict makes a malformed response a lasting error (RFC 4954 4); the engine
// takes every error that is no reply for a temporary one.
type strict struct{ sasl.Server }

// Next is sasl.Server's.
func (m strict) Next(response []byte) ([]byte, bool, error) {
	challenge, done, err := m.Server.Next(response)
	if own := (*gosmtp.SMTPError)(nil); err != nil && !errors.As(err, &own) {
		err = say(501, gosmtp.EnhancedCode{5, 5, 2}, "Malformed response")
	}
	return challenge, done, err
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// login is the server side of SASL LOGIN: never a standard, wanted by Outlook
// with exactly these prompts, with or without the user name as initial
// response.
type login struct {
	signIn func(user, password string) error
	step   int
	user   string
}

// The prompts; in base64 VXNlcm5hbWU6 and UGFzc3dvcmQ6.
var (
	promptUser     = []byte("Username:")
	promptPassword = []byte("Password:")
)

// Next takes a response; the first may be nil for "no initial response".
func (l *login) Next(response []byte) ([]byte, bool, error) {
	if l.step == 0 {
		l.step++
		if response == nil {
			return promptUser, false, nil
		}
	}
	switch l.step {
	case 1:
		l.step++
		if len(response) > directory.MaxLogin {
			return nil, false, answer(rookery.E("sign in", rookery.KindCredentials, nil))
		}
		l.user = string(response)
		return promptPassword, false, nil
	case 2:
		l.step++
		return nil, true, l.signIn(l.user, string(response))
	}
	return nil, false, sasl.ErrUnexpectedClientResponse
}
