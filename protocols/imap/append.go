package imap

import (
	"context"
	"errors"
	"io"
	"time"

	"rookery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/imap/wire"
	"rookery/storage/command"
)

// appendFamily holds APPEND (RFC 9051 6.3.12) with literal8 (RFC 3516) and
// UTF8 (RFC 9755). Its message is read while it runs, so that it is never in
// memory whole. One message a command: there is no MULTIAPPEND.
func appendFamily(srv *Server) family {
	c := define("APPEND", signedIn, tellAll, parseAppend, (*session).runAppend)
	c.openEnded, c.long = true, true // the clock starts when the message is here
	f := family{commands: []*cmd{c}}
	if srv.o.Deliver != nil {
		f.caps = []capability{{name: "APPENDLIMIT=", in: signedIn, value: func() string { return utoa(uint64(srv.o.Deliver.MaxSize())) }}}
	}
	return f
}

type appendArgs struct {
	name     string
	flags    command.Flags
	keywords []string
	date     time.Time
	utf8     bool
}

// parseAppend takes everything up to the message's literal.
func parseAppend(s *session, l *wire.Lexer) appendArgs {
	var a appendArgs
	l.SP()
	a.name = s.mailboxName(l)
	l.SP()
	if l.Next('(') {
		a.flags, a.keywords = parseFlags(l, false)
		l.SP()
	}
	if l.Next('"') {
		a.date = parseDateTime(l)
		l.SP()
	}
	if l.Next('U') || l.Next('u') {
		if w := l.Atom(); l.OK() && !wire.Fold(w, "UTF8") {
			l.Syntax("APPEND takes a literal, found %.40q", w)
		}
		a.utf8 = true
		l.SP()
		l.Byte('(')
	}
	if !l.Next('{') && !l.Next('~') {
		l.Syntax("APPEND takes its message as a literal")
	}
	return a
}

// parseDateTime takes a date-time: "dd-Mon-yyyy hh:mm:ss +zzzz".
func parseDateTime(l *wire.Lexer) time.Time {
	text := l.String()
	t, err := time.Parse("_2-Jan-2006 15:04:05 -0700", text)
	if err != nil || t.Year() < 1970 {
		l.Syntax("%.60q is not a date and time of the form dd-Mon-yyyy hh:mm:ss +zzzz", text)
	}
	return t
}

func (s *session) runAppend(ctx context.Context, a appendArgs) error {
	l := s.lex
	limit := s.srv.o.Deliver.MaxSize()
	h := l.LiteralHeader(limit)
	if !l.OK() {
		if h.Size > limit {
			return no("TOOBIG", "The message is larger than %d octets", limit)
		}
		return l.Err()
	}
	in, to, err := s.appendTarget(ctx, a, h)
	if err != nil {
		l.Refuse(h, err)
		return err
	}
	spool := s.srv.o.Deliver.Spool(spool.Normalise, 0)
	defer spool.Close()
	if err := s.receive(h, spool); err != nil {
		return err
	}
	if a.utf8 {
		l.Byte(')')
	}
	if l.Next(' ') {
		l.Syntax("one message can be appended at a time (no MULTIAPPEND)")
	}
	if l.End(); !l.OK() {
		return l.Err() // nothing is filed of a command that is malformed
	}
	if err := spool.Finish(); err != nil {
		return err
	}
	if fixed := spool.Fixes().String(); h.Binary && fixed != "" {
		// RFC 3516 4.4: what cannot be kept as it is sent is refused, not changed.
		return no("UNKNOWN-CTE", "The message would not be kept as it is sent (%s); encode its parts as base64", fixed)
	}
	ctx, cancel := context.WithTimeout(ctx, s.srv.limits.Run)
	defer cancel()
	filed, err := in.Append(ctx, to, a.flags, a.keywords, a.date, spool)
	if err != nil {
		return tryCreate(err)
	}
	s.done.code = "APPENDUID " + utoa(uint64(filed.UIDValidity)) + " " + utoa(uint64(filed.UID))
	return nil
}

// appendTarget checks, before the client sends the message, that it can be
// filed.
func (s *session) appendTarget(ctx context.Context, a appendArgs, h wire.Literal) (Changer, rookery.MailboxID, error) {
	switch {
	case h.Size == 0:
		return nil, 0, no("", "A message of no octets is not appended")
	case a.utf8 && !s.utf8:
		return nil, 0, bad("APPEND UTF8 needs ENABLE UTF8=ACCEPT first")
	}
	in, to, err := s.target(ctx, a.name)
	if err != nil {
		return nil, 0, err
	}
	return in, to, in.Check(ctx, h.Size)
}

// receive spools the literal. When the spool fails, the rest is read all the
// same: the client is sending it in good faith.
func (s *session) receive(h wire.Literal, spool *spool.Spool) error {
	s.measure()
	r := s.lex.OpenLiteral(h)
	buf := make([]byte, wire.BufferSize)
	var failed error
	for {
		n, err := r.Read(buf)
		if n > 0 && failed == nil {
			_, failed = spool.Write(buf[:n])
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	s.measure()
	if failed != nil {
		s.lex.Fail(failed)
	}
	return failed
}
