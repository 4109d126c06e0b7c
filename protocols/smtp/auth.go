package smtp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rookery/protocols/proxy"
	"rookery/protocols/signin"
)

// mechanisms are offered to users over TLS only.
func (s *session) mechanisms() []string {
	if s.mode == MX || s.conn.tls == nil {
		return nil
	}
	return []string{signin.Plain, signin.Login}
}

// auth is AUTH (RFC 4954).
func (s *session) auth(arg string) Reply {
	mechanism, initial, given := strings.Cut(strings.TrimSpace(arg), " ")
	switch {
	case s.mode == MX:
		return say(502, enhanced{5, 5, 1}, "Sign-in is not offered here; use the submission port")
	case s.conn.tls == nil:
		return say(538, enhanced{5, 7, 11}, "Sign-in needs TLS: use STARTTLS first")
	case s.user != nil || s.signed != nil:
		return say(503, enhanced{5, 5, 1}, "Signed in already")
	case s.tx != nil:
		return say(503, enhanced{5, 5, 1}, "Not during a mail transaction")
	}
	c, err := signin.Run(mechanism, initial, given, s.challenge)
	switch {
	case err == nil:
		return s.signIn(c)
	case errors.Is(err, signin.ErrIdentity):
		return s.signInAsAnother(c.User, err)
	case errors.Is(err, signin.ErrMechanism):
		return say(504, enhanced{5, 5, 4}, "The mechanism is not known; use "+strings.Join(s.mechanisms(), " or "))
	case errors.Is(err, signin.ErrCancelled):
		return say(501, enhanced{5, 0, 0}, "Cancelled")
	case errors.Is(err, signin.ErrBase64), errors.Is(err, signin.ErrMalformed):
		return say(501, enhanced{5, 5, 2}, "Malformed response")
	case errors.Is(err, errLong):
		return say(500, enhanced{5, 5, 6}, fmt.Sprintf("The response is longer than %d bytes", s.server.o.Limits.LineLength))
	case errors.Is(err, errLine):
		return say(501, enhanced{5, 5, 2}, "A response ends with CR LF, not with LF alone")
	}
	s.conn.ended(err)
	return Reply{}
}

// challenge sends a challenge and gives the client's response.
func (s *session) challenge(text string) (string, error) {
	s.conn.send(Reply{Code: 334, Text: text})
	return s.conn.readLine()
}

// signInAsAnother answers who wants to act as another user.
func (s *session) signInAsAnother(user string, cause error) Reply {
	ctx, cancel := context.WithTimeout(s.ctx, s.server.o.Limits.Lookup)
	defer cancel()
	return s.signInFailed(s.signIns().Deny(ctx, s.attempt(), user, cause))
}

// signIn checks a password.
func (s *session) signIn(c signin.Credentials) Reply {
	ctx, cancel := context.WithTimeout(s.ctx, s.server.o.Limits.Lookup)
	defer cancel()
	if s.mode == Relay {
		grant, err := s.server.o.Relays.SignIn(ctx, s.attempt(), c)
		if err != nil {
			return s.signInFailed(err)
		}
		s.signed = grant
		return say(235, enhanced{2, 7, 0}, "Signed in")
	}
	entry, err := s.server.o.SignIn.Authenticate(ctx, s.attempt(), c)
	if err != nil {
		return s.signInFailed(err)
	}
	s.user = &entry
	s.conn.enter(s.id, &entry)
	return say(235, enhanced{2, 7, 0}, "Signed in")
}

// signIns is what limits sign-ins here.
func (s *session) signIns() *signin.Authenticator {
	if s.mode == Relay {
		return s.server.o.Relays.SignIns()
	}
	return s.server.o.SignIn
}

func (s *session) attempt() signin.Attempt {
	return signin.Attempt{Protocol: "smtp", Session: s.id, Client: proxy.ClientOf(s.conn.socket), TLS: proxy.TLSOf(s.conn.link)}
}

// signInFailed answers a failed sign-in, the last one tolerated with the end of
// the connection.
func (s *session) signInFailed(err error) Reply {
	if !signin.Failed(err) {
		return say(454, enhanced{4, 7, 0}, "The directory does not answer, try again later")
	}
	if s.conn.failures++; s.conn.failures >= s.signIns().Failures() {
		s.conn.hangUp()
		return say(421, enhanced{4, 7, 0}, "Too many failed sign-ins, closing the connection")
	}
	if errors.Is(err, signin.ErrOverdrawn) {
		return say(454, enhanced{4, 7, 0}, "Too many failed sign-ins, try again later")
	}
	return answer(err)
}
