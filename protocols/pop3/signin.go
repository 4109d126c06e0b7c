package pop3

import (
	"context"
	"errors"
	"strings"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/proxy"
	"rookery/protocols/signin"
)

// setUser keeps the name for PASS. Every name is welcome here: the answer must
// not tell which exist.
func (s *session) setUser(_ context.Context, arg string) bool {
	switch {
	case !s.c.secure:
		return s.bad("Sign-in needs TLS: use STLS first")
	case arg == "" || len(arg) > directory.MaxLogin:
		return s.bad("Give a user name")
	}
	s.user = arg
	s.c.ok("Password, please")
	return true
}

// pass signs in. The password is the rest of the line, blanks and all.
func (s *session) pass(ctx context.Context, arg string) bool {
	switch {
	case !s.c.secure:
		return s.bad("Sign-in needs TLS: use STLS first")
	case s.user == "":
		return s.bad("Give USER first")
	}
	user := s.user
	s.user = ""
	return s.signIn(ctx, signin.Credentials{User: user, Password: arg})
}

// auth signs in by SASL (RFC 5034): PLAIN, with or without initial response.
// Without a mechanism it lists them, as RFC 1734's ancestors did.
func (s *session) auth(ctx context.Context, arg string) bool {
	mech, initial, given := strings.Cut(arg, " ")
	switch {
	case !s.c.secure:
		return s.bad("Sign-in needs TLS: use STLS first")
	case mech == "":
		s.c.ok("Mechanisms follow")
		s.c.line("%s", signin.Plain)
		s.c.line(".")
		return true
	case !strings.EqualFold(mech, signin.Plain):
		return s.bad("No such mechanism")
	}
	var broken error
	c, err := signin.Run(mech, initial, given, func(challenge string) (string, error) {
		s.c.line("+ %s", challenge)
		var line []byte
		line, broken = s.c.readLine()
		return string(line), broken
	})
	switch {
	case broken != nil:
		s.c.farewell(broken)
		return false
	case errors.Is(err, signin.ErrCancelled):
		return s.bad("Sign-in cancelled")
	case errors.Is(err, signin.ErrIdentity):
		return s.refuse(s.c.server.o.SignIn.Deny(ctx, s.attempt(), c.User, err))
	case err != nil:
		return s.bad("Malformed response")
	}
	return s.signIn(ctx, c)
}

// signIn checks the password and takes the mailbox as it is now, here or on the
// node that serves it.
func (s *session) signIn(ctx context.Context, cred signin.Credentials) bool {
	r, err := s.c.server.o.SignIn.SignIn(ctx, s.attempt(), cred)
	switch {
	case err != nil:
		return s.refuse(err)
	case r.Onward != nil:
		s.onward, s.signInBy = r.Onward, time.Time{}
		s.c.ok("%s", r.Text)
		return true
	}
	if err := s.take(ctx, r.Account, r.Entry.Login); err != nil {
		s.logRefusal("[SYS/TEMP]", "The mailbox does not open", err)
		// The password was right: no doubt may fall on it.
		s.c.fail(rookery.E("open mailbox", rookery.KindUnavailable, err))
		return true
	}
	s.c.ok("%d messages", len(s.listing.messages))
	return true
}

func (s *session) attempt() signin.Attempt {
	return signin.Attempt{Protocol: proxy.POP3, Session: s.c.id, Client: proxy.ClientOf(s.c.socket), TLS: proxy.TLSOf(s.c.net)}
}

// take begins the TRANSACTION state with the mailbox as it is now.
func (s *session) take(ctx context.Context, id rookery.AccountID, login string) error {
	drop, err := s.c.server.open(ctx, id)
	if err != nil {
		return err
	}
	if s.listing, err = drop.list(ctx); err != nil {
		drop.rest()
		return err
	}
	s.drop, s.login, s.signInBy = drop, login, time.Time{}
	s.deleted = make(map[int]struct{})
	s.c.enter(id, login)
	for _, m := range s.listing.messages {
		s.bytes += uint64(m.size)
	}
	return nil
}

// refuse answers a failed sign-in, the last one tolerated with the end of the
// connection.
func (s *session) refuse(err error) bool {
	if !signin.Failed(err) {
		if !rookery.Is(err, rookery.KindLimit) {
			err = rookery.E("sign in", rookery.KindUnavailable, err)
		}
		s.c.fail(err)
		return true
	}
	s.failures++
	s.c.fail(err)
	return s.failures < s.c.server.o.SignIn.Failures()
}
