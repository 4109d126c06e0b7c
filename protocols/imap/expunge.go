package imap

import (
	"context"

	"rookery"
	"rookery/protocols/imap/wire"
	"rookery/storage/command"
)

// expungeFamily holds EXPUNGE and UID EXPUNGE (RFC 9051 6.4.3, 6.4.9).
func expungeFamily() family {
	return family{commands: []*cmd{
		plain("EXPUNGE", selectedState, tellAll, func(s *session, ctx context.Context) error {
			return s.runExpunge(ctx, nil)
		}),
		define("UID EXPUNGE", selectedState, tellAll, parseSet, func(s *session, ctx context.Context, set wire.NumSet) error {
			return s.runExpunge(ctx, &set)
		}),
	}}
}

func parseSet(_ *session, l *wire.Lexer) wire.NumSet {
	l.SP()
	set := l.NumSet()
	l.End()
	return set
}

func (s *session) runExpunge(ctx context.Context, set *wire.NumSet) error {
	from, err := s.writable()
	if err != nil {
		return err
	}
	modseq, err := s.expunge(ctx, from, set)
	if err == nil && s.qresync && modseq > 0 {
		s.setHighest(modseq)
	}
	return err
}

// expunge removes what is marked \Deleted: all of it that the session knows,
// or what is in the set.
func (s *session) expunge(ctx context.Context, from Changer, set *wire.NumSet) (rookery.ModSeq, error) {
	uids := s.sel.uids
	if set != nil {
		var err error
		if uids, err = s.resolve(*set, true); err != nil {
			return 0, err
		}
	}
	uids, err := s.deleted(uids)
	if err != nil || uids.Empty() {
		return 0, err
	}
	r, _, err := from.Expunge(ctx, command.Expunge{Mailbox: s.sel.id, UIDs: uids})
	return r.ModSeq, err
}

// setHighest puts HIGHESTMODSEQ into the tagged OK (RFC 7162 3.2.6).
func (s *session) setHighest(m rookery.ModSeq) {
	s.done.code = "HIGHESTMODSEQ " + utoa(uint64(m))
}
