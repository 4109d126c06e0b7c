package imap

import (
	"context"
	"strings"

	"rookery"
	"rookery/protocols/imap/wire"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

const (
	flagSeen    = command.FlagSeen
	flagDeleted = command.FlagDeleted
)

// storeFamily holds STORE and UID STORE (RFC 9051 6.4.6, RFC 7162 3.1.3).
func storeFamily() family {
	one := func(name string, view viewRule, byUID bool) *cmd {
		return define(name, selectedState, view, parseStore, func(s *session, ctx context.Context, a storeArgs) error {
			return s.runStore(ctx, a, byUID)
		})
	}
	return family{commands: []*cmd{one("STORE", tellNoExpunges, false), one("UID STORE", tellAll, true)}}
}

type storeArgs struct {
	set      wire.NumSet
	since    *rookery.ModSeq
	mode     command.StoreMode
	silent   bool
	flags    command.Flags
	keywords []string
}

func parseStore(_ *session, l *wire.Lexer) storeArgs {
	var a storeArgs
	l.SP()
	a.set = l.NumSet()
	l.SP()
	if l.Accept('(') {
		if w := l.Atom(); l.OK() && !wire.Fold(w, "UNCHANGEDSINCE") {
			l.Syntax("the STORE modifier %.40s is unknown", w)
		}
		l.SP()
		m := rookery.ModSeq(l.Digits())
		a.since = &m
		l.Byte(')')
		l.SP()
	}
	switch {
	case l.Accept('+'):
		a.mode = command.StoreAdd
	case l.Accept('-'):
		a.mode = command.StoreRemove
	default:
		a.mode = command.StoreReplace
	}
	switch item := strings.ToUpper(l.Atom()); item {
	case "FLAGS":
	case "FLAGS.SILENT":
		a.silent = true
	default:
		l.Syntax("the STORE item %.40s is unknown", item)
	}
	l.SP()
	a.flags, a.keywords = parseFlags(l, true)
	l.End()
	return a
}

// parseFlags takes a flag list; bare allows it without parentheses, as STORE
// does. \Recent is the server's (and this one has none): it is dropped.
func parseFlags(l *wire.Lexer, bare bool) (f command.Flags, keywords []string) {
	one := func() {
		name := parseFlagName(l)
		if !l.OK() {
			return
		}
		if bit, ok := command.ParseFlag(name); ok {
			f |= bit
			return
		}
		switch {
		case strings.EqualFold(name, `\Recent`):
		case name[0] == '\\':
			l.Fail(no("CANNOT", "The flag %s cannot be stored", cleanText(clip(name, 60))))
		case !command.ValidKeyword(name):
			l.Fail(no("CANNOT", "%s is no keyword: an atom of at most %d octets", cleanText(clip(name, 60)), command.MaxKeyword))
		default:
			keywords = append(keywords, name)
		}
	}
	if l.Accept('(') {
		for n := 0; l.OK() && !l.Accept(')'); n++ {
			if n > 0 {
				l.SP()
			}
			one()
		}
	} else if bare {
		one()
		for l.OK() && l.Accept(' ') {
			one()
		}
	} else {
		l.Byte('(')
	}
	if len(keywords) > command.MaxKeywords {
		l.Fail(no("LIMIT", "A message has at most %d keywords", command.MaxKeywords))
	}
	return f, keywords
}

func (s *session) runStore(ctx context.Context, a storeArgs, byUID bool) error {
	in, err := s.writable()
	if err != nil {
		return err
	}
	if a.since != nil {
		s.enableModSeqs()
	}
	uids, err := s.resolve(a.set, byUID)
	if err != nil || uids.Empty() {
		return err
	}
	before := s.sel.modseq
	r, _, err := in.StoreFlags(ctx, command.StoreFlags{
		Mailbox: s.sel.id, UIDs: uids, Mode: a.mode, Flags: a.flags, Keywords: a.keywords, UnchangedSince: a.since,
	})
	if err != nil {
		return err
	}
	if !r.Modified.Empty() {
		s.done.code = "MODIFIED " + s.numbers(r.Modified, byUID)
		s.done.text = "Conditional STORE failed for some"
	}
	return s.tellStored(uids.Without(r.Modified), r, a.silent, byUID, before)
}

// tellStored answers for each message, or with .SILENT for those whose new
// MODSEQ the client needs.
func (s *session) tellStored(uids mailbox.UIDs, r command.StoreResult, silent, byUID bool, before rookery.ModSeq) error {
	v, err := s.sel.store.View()
	if err != nil {
		return err
	}
	defer v.Close()
	m, err := v.Mailbox(s.sel.id)
	if err != nil {
		return err
	}
	s.tellKeywords(m)
	if silent && !s.modseqs {
		uids = mailbox.UIDs{}
	}
	missing := uids.Len()
	err = eachRow(v, s.sel.id, uids, func(row *mailbox.Row) bool {
		missing--
		seq, ok := s.sel.uids.Seq(row.UID)
		if !ok {
			return true
		}
		s.out.Text("* ").Uint(uint64(seq)).Text(" FETCH (")
		if byUID || s.modseqs {
			s.out.Text("UID ").Uint(uint64(row.UID)).Byte(' ')
		}
		if s.modseqs {
			s.out.Text("MODSEQ (").Uint(uint64(row.ModSeq)).Byte(')')
		}
		if !silent {
			if s.modseqs {
				s.out.Byte(' ')
			}
			s.writeFlags(row.Flags, row.Keywords)
		}
		s.out.Text(")\r\n")
		return s.out.Err() == nil
	})
	// What the command changed has been told; what others changed has not.
	s.sel.own = changedBy(v, s.sel.id, r, before)
	if err == nil && missing > 0 && s.done.code == "" {
		s.done.code = "EXPUNGEISSUED"
		s.done.text = "Some of the messages are gone"
	}
	return err
}

// changedBy lists the MODSEQs that a STORE gave: those of the rows it changed.
func changedBy(v View, box rookery.MailboxID, r command.StoreResult, before rookery.ModSeq) []rookery.ModSeq {
	var own []rookery.ModSeq
	var last rookery.ModSeq
	eachRow(v, box, r.Changed, func(row *mailbox.Row) bool {
		if row.ModSeq != last && row.ModSeq > before && row.ModSeq <= r.ModSeq && len(own) < 1000 {
			own, last = append(own, row.ModSeq), row.ModSeq
		}
		return true
	})
	return own
}

// numbers is a list of UIDs as the command's set counts: UIDs or numbers.
func (s *session) numbers(u mailbox.UIDs, byUID bool) string {
	if byUID {
		return u.String()
	}
	var set wire.Set
	for uid := range u.All() {
		if seq, ok := s.sel.uids.Seq(uid); ok {
			set.Add(seq)
		}
	}
	return set.String()
}

// eachRow calls fn for the rows of the UIDs that are there, in order.
func eachRow(v View, box rookery.MailboxID, uids mailbox.UIDs, fn func(*mailbox.Row) bool) error {
	return v.RowsIn(box, uids, func(row mailbox.Row) bool { return fn(&row) })
}

// deleted narrows a list of UIDs to those marked \Deleted.
func (s *session) deleted(uids mailbox.UIDs) (mailbox.UIDs, error) {
	v, err := s.sel.store.View()
	if err != nil {
		return mailbox.UIDs{}, err
	}
	defer v.Close()
	m, err := v.Mailbox(s.sel.id)
	if err != nil || m.Deleted == 0 {
		return mailbox.UIDs{}, err
	}
	var b uidset.Builder
	err = eachRow(v, s.sel.id, uids, func(row *mailbox.Row) bool {
		if row.Flags&flagDeleted != 0 {
			b.Add(row.UID)
		}
		return true
	})
	return b.Set(), err
}
