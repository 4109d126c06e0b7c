package smtp

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// command is a row of the table of commands.
type command struct {
	run     func(c *conn, arg string) Reply // a Reply without a code: there is none
	hello   bool                            // comes after EHLO or HELO only
	bare    bool                            // takes no argument
	observe bool                            // is counted with its reply
}

// commands has a row for every verb of RFC 5321 4.1.1 and of the extensions
// that EHLO offers.
var commands = map[string]command{
	"EHLO":     {run: (*conn).ehlo},
	"HELO":     {run: (*conn).helo},
	"STARTTLS": {run: (*conn).startTLS, hello: true, bare: true},
	"AUTH":     {run: inSession((*session).auth), hello: true, observe: true},
	"MAIL":     {run: inSession((*session).mail), hello: true, observe: true},
	"RCPT":     {run: inSession((*session).rcpt), hello: true, observe: true},
	"DATA":     {run: inSession((*session).data), hello: true, bare: true},
	"BDAT":     {run: (*conn).bdat},
	"RSET":     {run: (*conn).rset, bare: true},
	"NOOP":     {run: always(250, enhanced{2, 0, 0}, "OK")},
	"QUIT":     {run: (*conn).quit, bare: true},
	"VRFY":     {run: always(252, enhanced{2, 5, 2}, "Addresses are not told; send the message to find out")},
	"EXPN":     {run: always(502, enhanced{5, 5, 1}, "Lists are not told")},
	"HELP":     {run: always(214, enhanced{2, 0, 0}, "Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP QUIT")},
}

func inSession(run func(*session, string) Reply) func(*conn, string) Reply {
	return func(c *conn, arg string) Reply { return run(c.session, arg) }
}

func always(code int, e enhanced, text string) func(*conn, string) Reply {
	return func(*conn, string) Reply { return say(code, e, text) }
}

// command answers one line, or what is wrong with it.
func (c *conn) command(line string, err error) {
	verb, arg, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	cmd, known := commands[verb]
	began := time.Now()
	var r Reply
	switch {
	case errors.Is(err, errLong):
		r = c.noCommand(500, enhanced{5, 5, 2}, fmt.Sprintf("The command line is longer than %d bytes", c.server.o.Limits.LineLength))
	case err != nil:
		r = c.noCommand(500, enhanced{5, 5, 2}, "A command ends with CR LF, not with LF alone (RFC 5321 2.3.8)")
	case !known:
		r = c.noCommand(500, enhanced{5, 5, 1}, "The command is not known")
	case cmd.bare && strings.TrimSpace(arg) != "":
		r = c.noCommand(501, enhanced{5, 5, 4}, verb+" takes no parameters")
	case cmd.hello && c.session == nil:
		r = c.noCommand(503, enhanced{5, 5, 1}, "Send EHLO first")
	default:
		r = cmd.run(c, arg)
		if c.session != nil {
			c.session.note(verb, arg, r)
		}
	}
	if r.Code == 0 {
		return
	}
	if cmd.observe {
		c.server.observe(verb, r, began)
	}
	c.send(r)
}

// noCommand answers a line that is no command; too many end the connection.
func (c *conn) noCommand(code int, e enhanced, text string) Reply {
	if c.bad++; c.bad < maxBad {
		return say(code, e, text)
	}
	c.hangUp()
	return say(421, enhanced{4, 7, 0}, "Too many lines that are no commands, closing the connection")
}

// observe counts a reply.
func (s *Server) observe(verb string, r Reply, began time.Time) {
	if s.o.Observe != nil {
		s.o.Observe(verb, r.Code, time.Since(began))
	}
}

func (c *conn) ehlo(arg string) Reply {
	if r := c.hello(arg, true); r.Code != 250 {
		return r
	}
	return Reply{Code: 250, Text: strings.Join(c.extensions(), "\n")}
}

func (c *conn) helo(arg string) Reply { return c.hello(arg, false) }

// hello begins a session, or ends the transaction of the one there is (RFC 5321
// 4.1.4).
func (c *conn) hello(arg string, extended bool) Reply {
	name, _, _ := strings.Cut(strings.TrimSpace(arg), " ")
	if name == "" {
		return c.noCommand(501, enhanced{5, 5, 4}, "Give the name of your host")
	}
	if c.session == nil {
		s := newSession(c, name)
		if refusal := s.begin(); refusal != nil {
			return *refusal
		}
		c.session, c.opening = s, time.Time{}
	}
	c.session.reset()
	c.session.hello, c.session.extended = name, extended
	return Reply{Code: 250, Text: c.server.o.Hostname}
}

// extensions are the lines of EHLO's reply (RFC 5321 4.1.1.1).
func (c *conn) extensions() []string {
	o := &c.server.o
	lines := []string{o.Hostname, "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN"}
	if c.tls == nil && c.listener.tls() != nil {
		lines = append(lines, "STARTTLS")
	}
	if m := c.session.mechanisms(); len(m) > 0 {
		lines = append(lines, "AUTH "+strings.Join(m, " "))
	}
	if c.session.mode == Submission || c.session.mode == Submissions {
		lines = append(lines, c.session.futureRelease())
	}
	lines = append(lines, fmt.Sprintf("SIZE %d", o.Deliver.MaxSize()), fmt.Sprintf("LIMITS RCPTMAX=%d", o.recipients()))
	return lines
}

// startTLS moves the connection under TLS (RFC 3207), where it begins anew.
func (c *conn) startTLS(string) Reply {
	if c.tls != nil || c.listener.tls() == nil {
		return say(502, enhanced{5, 5, 1}, "STARTTLS is not offered here")
	}
	c.send(say(220, enhanced{2, 0, 0}, "Ready to start TLS"))
	if c.flush(c.server.o.Limits.Stall) == nil {
		c.handshake()
	}
	return Reply{}
}

func (c *conn) rset(string) Reply {
	if c.session != nil {
		c.session.reset()
	}
	return say(250, enhanced{2, 0, 0}, "OK")
}

func (c *conn) quit(string) Reply {
	c.closing = true
	return say(221, enhanced{2, 0, 0}, "Bye")
}
