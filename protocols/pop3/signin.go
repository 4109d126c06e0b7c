package pop3

import (
	"context"
	"errors"
	"strings"
	"time"

	"rookery"
	"rookery/directory"
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
	return s.signIn(ctx, user, arg)
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
		return s.refuse(ctx, c.User, rookery.E("sign in", rookery.KindCredentials, err))
	case err != nil:
		return s.bad("Malformed response")
	}
	return s.signIn(ctx, c.User, c.Password)
}

// signIn checks the password and takes the mailbox as it is now.
func (s *session) signIn(ctx context.Context, user, password string) bool {
	c := s.c
	entry, err := c.server.o.Directory.Authenticate(ctx, user, password)
	if err != nil {
		return s.refuse(ctx, user, err)
	}
	if handled, err := s.elsewhere(ctx, entry); rookery.Is(err, rookery.KindDisabled) {
		return s.refuse(ctx, user, err)
	} else if err != nil {
		c.logger.Warn("pop3: mailbox does not open", "user", entry.Login, "error", err)
		c.fail(rookery.E("open mailbox", rookery.KindUnavailable, err))
		return true
	} else if handled {
		return true
	}
	drop, err := c.server.open(ctx, entry)
	if err == nil {
		s.listing, err = drop.list(ctx)
	}
	if err != nil {
		c.logger.Warn("pop3: mailbox does not open", "user", entry.Login, "error", err)
		if drop != nil {
			drop.rest()
		}
		// The password was right: no doubt may fall on it.
		c.fail(rookery.E("open mailbox", rookery.KindUnavailable, err))
		return true
	}
	s.settle(drop, &entry)
	c.logger.Info("pop3: signed in", "user", entry.Login, "client", c.ip, "messages", len(s.listing.messages))
	c.ok("%d messages", len(s.listing.messages))
	return true
}

// refuse answers a failed sign-in: a wrong password late, and the last one
// tolerated with the end of the connection.
func (s *session) refuse(ctx context.Context, user string, err error) bool {
	c := s.c
	kind := rookery.KindOf(err)
	c.logger.Warn("pop3: sign-in failed", "user", user, "client", c.ip, "kind", kind.String())
	if kind != rookery.KindCredentials && kind != rookery.KindDisabled {
		c.fail(rookery.E("sign in", rookery.KindUnavailable, err))
		return true
	}
	limits := &c.server.o.Limits
	s.failures++
	if limits.AuthDelay > 0 {
		pause(ctx, min(limits.AuthDelay<<min(s.failures-1, 4), 10*time.Second))
	}
	c.fail(err)
	return s.failures < limits.AuthFailures
}
