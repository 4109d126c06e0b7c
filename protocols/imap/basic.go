package imap

import (
	"context"
	"strings"

	"rookery/protocols/imap/wire"
)

// basicFamily holds the commands of any state (RFC 9051 6.1), ID (RFC 2971)
// and the capabilities that are no command's.
func basicFamily() family {
	return family{
		commands: []*cmd{
			plain("CAPABILITY", anyState, tellAll, (*session).runCapability),
			plain("NOOP", anyState, tellNothing, (*session).runNoop),
			plain("CHECK", selectedState, tellNothing, (*session).runNoop),
			plain("LOGOUT", anyState, tellNothing, (*session).runLogout),
			define("ID", anyState, tellAll, parseID, (*session).runID),
		},
		caps: append(caps(anyState, "IMAP4rev1", "IMAP4rev2", "LITERAL+", "SASL-IR", "ID"),
			caps(signedIn, "CHILDREN", "UIDPLUS", "STATUS=SIZE", "BINARY", "OBJECTID", "SAVEDATE", "PREVIEW", "WITHIN")...),
	}
}

func (s *session) runCapability(context.Context) error {
	s.out.Text("* CAPABILITY ").Text(s.srv.registry.capabilities(s)).CRLF()
	return nil
}

// runNoop is the session's moment to see what other nodes have acknowledged.
func (s *session) runNoop(ctx context.Context) error {
	if s.sel == nil {
		return nil
	}
	if err := s.barrier(ctx); err != nil {
		return err
	}
	return s.tell(true)
}

func (s *session) runLogout(context.Context) error {
	s.out.Text("* BYE Logging out\r\n")
	s.bye = true
	return nil
}

// parseID takes the parameter list: NIL or at most 30 pairs.
func parseID(_ *session, l *wire.Lexer) map[string]string {
	l.SP()
	if !l.Next('(') {
		if w := l.Atom(); l.OK() && !wire.Fold(w, "NIL") {
			l.Syntax("ID needs NIL or a list of names and values")
		}
		l.End()
		return nil
	}
	fields := make(map[string]string)
	l.Byte('(')
	for l.OK() && !l.Accept(')') {
		if len(fields) > 0 {
			l.SP()
		}
		name := l.String()
		l.SP()
		value, _ := l.NString()
		fields[strings.ToLower(name)] = value
		if len(fields) > 30 {
			l.Syntax("ID has more than 30 fields")
		}
	}
	l.End()
	return fields
}

func (s *session) runID(_ context.Context, fields map[string]string) error {
	if len(fields) > 0 {
		s.logger().Info("IMAP client", "name", clip(fields["name"], 100), "version", clip(fields["version"], 100),
			"os", clip(fields["os"], 100), "vendor", clip(fields["vendor"], 100))
	}
	s.out.Text(`* ID ("name" "Rookery")` + "\r\n")
	return nil
}
