package smtp

import (
	"errors"
	"io"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
)

// observed is a session whose answers are counted.
type observed struct{ *session }

// count counts an answer: what the engine says by itself is 250.
func (s *session) count(command string, began time.Time, err error) error {
	code := 250
	var said *gosmtp.SMTPError
	switch {
	case errors.As(err, &said):
		code = said.Code
	case err != nil:
		code = 554
	}
	if s.server.o.Observe != nil {
		s.server.o.Observe(command, code, time.Since(began))
	}
	return err
}

// note counts a reply.
func (s *session) note(command string, began time.Time, reply *gosmtp.SMTPError) *gosmtp.SMTPError {
	s.count(command, began, reply)
	return reply
}

// Mail implements gosmtp.Session.
func (o observed) Mail(from string, opts *gosmtp.MailOptions) error {
	began := time.Now()
	return o.count("MAIL", began, o.session.Mail(from, opts))
}

// Rcpt implements gosmtp.Session.
func (o observed) Rcpt(to string, opts *gosmtp.RcptOptions) error {
	began := time.Now()
	return o.count("RCPT", began, o.session.Rcpt(to, opts))
}

// Data implements gosmtp.Session.
func (o observed) Data(r io.Reader) error {
	began := time.Now()
	return o.count("DATA", began, o.session.Data(r))
}

// Auth implements gosmtp.AuthSession.
func (o observed) Auth(mech string) (sasl.Server, error) {
	began := time.Now()
	server, err := o.session.Auth(mech)
	if err != nil {
		return server, o.count("AUTH", began, err)
	}
	return observedAuth{server, o}, nil
}

// observedAuth counts the end of an exchange.
type observedAuth struct {
	sasl.Server
	o observed
}

// Next implements sasl.Server.
func (a observedAuth) Next(response []byte) ([]byte, bool, error) {
	began := time.Now()
	challenge, done, err := a.Server.Next(response)
	if done || err != nil {
		err = a.o.count("AUTH", began, err)
	}
	return challenge, done, err
}
