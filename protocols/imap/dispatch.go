package imap

import (
	"context"
	"errors"
	"strings"
	"time"

	"rookery/protocols/imap/wire"
	"rookery/protocols/listen"
	"rookery/protocols/proxy"
)

// lexLimits are the limits of a command in the session's state.
func (s *session) lexLimits() wire.Limits {
	if s.state == notAuthenticated {
		return s.srv.limits.Before
	}
	return s.srv.limits.After
}

// command reads one command, runs it and sends its tagged reply. An error ends
// the session.
func (s *session) command() error {
	s.measure()
	s.lex.Begin(s.lexLimits())
	s.tag, s.name, s.ran = "*", "unknown", time.Time{}
	if s.lex.AtEnd() { // an empty line is no command
		s.lex.End()
		return s.answer(bad("a command needs a tag and a name"))
	}
	tag := s.lex.Tag()
	if s.lex.OK() {
		s.tag = tag
	}
	s.lex.SP()
	name := s.lex.Atom()
	if wire.Fold(name, "UID") {
		s.lex.SP()
		name += " " + s.lex.Atom()
	}
	if !s.lex.OK() {
		return s.answer(s.lex.Err())
	}
	c := s.srv.registry.lookup(name)
	switch {
	case c == nil:
		return s.answer(bad("the command %s is unknown", cleanText(strings.ToUpper(clip(name, 40)))))
	case c.in&s.state == 0:
		return s.answer(bad("%s", wrongState(c, s.state)))
	}
	s.name = c.name
	args := c.parse(s, s.lex)
	if s.lex.OK() && !c.openEnded && !s.lex.Ended() {
		s.lex.Syntax("unexpected text after the command's arguments")
	}
	if !s.lex.OK() {
		return s.answer(s.lex.Err())
	}
	s.done = reply{"OK", "", strings.ToUpper(name) + " completed"}
	if !c.waits {
		s.ran = time.Now()
	}
	return s.answer(s.run(c, args))
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

func wrongState(c *cmd, now states) string {
	switch {
	case now == notAuthenticated:
		return c.name + " needs a signed-in session: use LOGIN or AUTHENTICATE first"
	case c.in == notAuthenticated:
		return c.name + " is not possible any more: the session is signed in"
	}
	return c.name + " needs a selected mailbox: use SELECT or EXAMINE first"
}

// run runs a command and tells what changed in the selected mailbox.
func (s *session) run(c *cmd, args any) error {
	ctx := s.ctx
	if !c.long {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.srv.limits.Run)
		defer cancel()
	}
	err := c.run(s, ctx, args)
	if s.sel != nil && c.view != tellNothing && s.lex.Dead() == nil && s.out.Err() == nil {
		if e := s.tell(c.view == tellAll); e != nil && err == nil {
			s.logger().Warn("IMAP session could not look at its mailbox", "error", e)
		}
	}
	return err
}

// answer finishes the reading of the command and sends its tagged reply.
func (s *session) answer(err error) error {
	if e := s.out.Err(); e != nil {
		return e
	}
	if e := s.lex.Dead(); e != nil {
		return e
	}
	flood := s.lex.Finish()
	if flood != nil && !errors.Is(flood, wire.ErrFlood) {
		return flood
	}
	r := &s.done
	if err == errSilent {
		return s.out.Err()
	}
	if err != nil {
		r = replyTo(err)
		s.note(err, r)
	}
	if r.status == "BAD" {
		s.bads++
	} else {
		s.bads = 0
	}
	s.observe(r.status)
	s.status(s.tag, r)
	if flood != nil {
		return flood
	}
	limit := s.srv.limits.BadCommands
	if s.state == notAuthenticated {
		limit = min(limit, 4)
	}
	if s.bads >= limit {
		return errBadClient
	}
	return s.out.Err()
}

// worthALine are the response codes of refusals that are logged.
var worthALine = map[string]bool{"UNAVAILABLE": true, "LIMIT": true, "OVERQUOTA": true, "TOOBIG": true, "NOPERM": true, "SERVERBUG": true}

// note logs, once, what was refused for another cause than the command itself:
// the storage, a quota, a limit. Sign-ins are logged by package signin.
func (s *session) note(err error, r *reply) {
	if r.status == "BAD" || s.name == "LOGIN" || s.name == "AUTHENTICATE" || !worthALine[r.code] {
		return
	}
	var own *reply
	if errors.As(err, &own) {
		err = nil // it says no more than the answer
	}
	if errors.Is(err, context.Canceled) { // the client has left
		s.logger().Debug("IMAP command failed", "error", err)
		return
	}
	listen.Refusal{
		Protocol: proxy.IMAP, Session: s.id, Client: s.peer(), User: s.login, Command: s.name, Code: r.code, Why: r.text,
		Deferred: r.code == "UNAVAILABLE" || r.code == "LIMIT", Err: err,
	}.Log(s.srv.log)
}

// status writes a status response.
func (s *session) status(tag string, r *reply) {
	s.out.Text(tag).Byte(' ').Text(r.status).Byte(' ')
	if r.code != "" {
		s.out.Byte('[').Text(r.code).Text("] ")
	}
	s.out.Text(r.text).CRLF()
}

func (s *session) observe(status string) {
	observe := s.srv.o.Observe
	if observe == nil {
		return
	}
	var took time.Duration
	if !s.ran.IsZero() {
		took = time.Since(s.ran)
	}
	observe(s.name, status, took)
}
