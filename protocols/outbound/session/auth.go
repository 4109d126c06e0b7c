package session

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"rookery"
)

// auth signs in with PLAIN, else LOGIN, where a name is set.
func (s *Session) auth() error {
	a := s.o.Auth
	if a == nil {
		return nil
	}
	if !s.tls.Used {
		return denied("a password is sent under TLS only, and the connection has none: " + s.tls.Why)
	}
	if strings.ContainsRune(a.Username+a.Password, 0) {
		return denied("the name or the password has a NUL in it")
	}
	offered, _ := s.Offers("AUTH")
	mechanisms := strings.Fields(strings.ToUpper(offered))
	switch {
	case slices.Contains(mechanisms, "PLAIN"):
		return s.steps("AUTH PLAIN "+encode("\x00"+a.Username+"\x00"+a.Password), nil)
	case slices.Contains(mechanisms, "LOGIN"):
		return s.steps("AUTH LOGIN", []string{encode(a.Username), encode(a.Password)})
	}
	return denied("the peer offers neither AUTH PLAIN nor AUTH LOGIN, but " + quoted(printable(offered, 100)))
}

// steps sends a command, and the answers to what it is asked for (RFC 4954 4).
func (s *Session) steps(command string, answers []string) error {
	r, err := s.command(AtAuth, s.o.Timeouts.Auth, command)
	for _, a := range answers {
		if err != nil || r.Code != 334 {
			break
		}
		r, err = s.command(AtAuth, s.o.Timeouts.Auth, a)
	}
	if err != nil {
		return err
	}
	if r.Code/100 != 2 {
		return refused(AtAuth, r)
	}
	return nil
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func denied(why string) error {
	return &Error{Stage: AtAuth, Err: rookery.E("smtp", rookery.KindUnavailable, errors.New(why))}
}
