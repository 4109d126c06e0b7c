package imap

import (
	"context"
	"strings"

	"rookery/protocols/imap/wire"
)

// enableFamily holds ENABLE (RFC 5161) and what it switches on: IMAP4rev2,
// CONDSTORE and QRESYNC (RFC 7162), UTF8=ACCEPT (RFC 9755).
func enableFamily() family {
	return family{
		commands: []*cmd{define("ENABLE", signedIn, tellAll, parseEnable, (*session).runEnable)},
		// Some clients never ask again after signing in, so the name shows from
		// the start.
		caps: append(caps(anyState, "ENABLE"), caps(signedIn, "CONDSTORE", "QRESYNC", "UTF8=ACCEPT")...),
	}
}

func parseEnable(_ *session, l *wire.Lexer) []string {
	var names []string
	for l.OK() && (len(names) == 0 || !l.AtEnd()) {
		l.SP()
		names = append(names, strings.ToUpper(l.Atom()))
		if len(names) > 50 {
			l.Syntax("ENABLE names more than 50 extensions")
		}
	}
	l.End()
	return names
}

func (s *session) runEnable(_ context.Context, names []string) error {
	var on []string
	set := func(name string, flag *bool) {
		if !*flag {
			on = append(on, name)
		}
		*flag = true
	}
	for _, n := range names {
		switch n {
		case "IMAP4REV2":
			set("IMAP4rev2", &s.rev2)
		case "CONDSTORE":
			known := s.modseqs
			s.enableModSeqs()
			set("CONDSTORE", &known)
		case "QRESYNC":
			s.enableModSeqs()
			set("QRESYNC", &s.qresync)
		case "UTF8=ACCEPT":
			set("UTF8=ACCEPT", &s.utf8)
		}
	}
	s.out.UTF8 = s.utf8 || s.rev2
	s.out.Text("* ENABLED")
	for _, n := range on {
		s.out.Byte(' ').Text(n)
	}
	s.out.CRLF()
	return nil
}

// enableModSeqs notes that the client knows MODSEQ. With a mailbox open, the
// first time, it is told where it stands (RFC 7162 3.1).
func (s *session) enableModSeqs() {
	if !s.modseqs && s.sel != nil {
		s.out.Text("* OK [HIGHESTMODSEQ ").Uint(uint64(s.sel.modseq)).Text("] CONDSTORE is on\r\n")
	}
	s.modseqs = true
}
