package imap

import (
	"context"
	"slices"

	"rookery"
	"rookery/protocols/imap/names"
	"rookery/protocols/imap/wire"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

// selected is the session's view of its mailbox: the UIDs whose numbers the
// client knows, and the MODSEQ up to which it has been told. The list is
// shared with all sessions that have the mailbox open.
type selected struct {
	store    Store
	id       rookery.MailboxID
	validity rookery.UIDValidity
	readOnly bool
	uids     mailbox.UIDs
	// last is the highest UID the client has been told of; it stays when
	// that message goes.
	last   rookery.UID
	modseq rookery.ModSeq
	// behind: expunges have been kept back.
	behind bool
	// gone: the mailbox has been deleted.
	gone     bool
	keywords int // told with FLAGS
	// own are the MODSEQs of changes the running command has told itself.
	own []rookery.ModSeq
}

var errGone = no("NONEXISTENT", "The selected mailbox has been deleted; select another one")

// barrier makes this node show all that was acknowledged anywhere (G2).
func (s *session) barrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.srv.limits.Run)
	defer cancel()
	if s.sel != nil && s.sel.store != Store(s.own) {
		if err := s.sel.store.Sync(ctx); err != nil {
			return err
		}
	}
	return s.own.Sync(ctx)
}

// freshView is the account as it is now on every node (G2); it is closed by
// the caller.
func (s *session) freshView(ctx context.Context) (*mailbox.View, error) {
	ctx, cancel := context.WithTimeout(ctx, s.srv.limits.Run)
	defer cancel()
	if err := s.own.Sync(ctx); err != nil {
		return nil, err
	}
	v, err := s.own.Account.View()
	if err != nil {
		return nil, atSignIn(err)
	}
	return v, nil
}

// tell sends what has changed in the selected mailbox since it was told last.
// Without expunges the message numbers stay, and the rest is told later.
func (s *session) tell(expunges bool) error {
	sel := s.sel
	if sel == nil || sel.gone {
		return nil
	}
	own := sel.own
	sel.own = nil
	v, err := sel.store.View()
	if err != nil {
		return err
	}
	defer v.Close()
	m, err := v.Mailbox(sel.id)
	if rookery.Is(err, rookery.KindNotFound) {
		s.tellGone(expunges)
		return nil
	}
	if err != nil {
		return err
	}
	if m.UIDValidity != sel.validity {
		s.bye = true
		s.out.Text("* BYE The mailbox has been replaced; connect again\r\n")
		return nil
	}
	if m.HighestModSeq == sel.modseq && !(expunges && sel.behind) {
		return nil
	}
	return s.tellChanges(v, m, expunges, own)
}

func (s *session) tellChanges(v View, m mailbox.Mailbox, expunges bool, own []rookery.ModSeq) error {
	sel := s.sel
	now, err := v.UIDs(sel.id)
	if err != nil {
		return err
	}
	removed := sel.uids.Without(now)
	sel.behind = !removed.Empty()
	if sel.behind && expunges {
		s.writeExpunged(sel.uids, removed)
		sel.uids, sel.behind = sel.uids.Without(removed), false
	}
	known := sel.last
	if now.Last() > known {
		sel.uids = appendAbove(sel.uids, now, known)
		sel.last = now.Last()
		s.out.Text("* ").Uint(uint64(sel.uids.Len())).Text(" EXISTS\r\n")
	}
	if !sel.behind {
		sel.uids = now // one list for all sessions
	}
	if m.HighestModSeq == sel.modseq {
		return nil
	}
	changes, err := v.Changes(sel.id, sel.modseq)
	if err != nil {
		return err
	}
	s.tellKeywords(m)
	for i := range changes.Rows {
		row := &changes.Rows[i]
		if row.UID > known || slices.Contains(own, row.ModSeq) {
			continue
		}
		if seq, ok := sel.uids.Seq(row.UID); ok {
			s.writeFlagUpdate(seq, row)
		}
	}
	sel.modseq = m.HighestModSeq
	return nil
}

// tellKeywords sends FLAGS when the mailbox has keywords that the client does
// not know: a keyword is named there before a message has it (RFC 9051 7.3.5).
func (s *session) tellKeywords(m mailbox.Mailbox) {
	if len(m.Keywords) > s.sel.keywords {
		s.writeFlagsLine(m.Keywords)
		s.sel.keywords = len(m.Keywords)
	}
}

// appendAbove gives old with the UIDs of now that are above known.
func appendAbove(old, now mailbox.UIDs, known rookery.UID) mailbox.UIDs {
	var b uidset.Builder
	for _, r := range old.Runs() {
		b.AddRange(r.Start, r.End())
	}
	for _, r := range now.Runs() {
		if r.End() > known {
			b.AddRange(max(r.Start, known+1), r.End())
		}
	}
	return b.Set()
}

// tellGone empties a mailbox that was deleted under the session.
func (s *session) tellGone(expunges bool) {
	if !expunges {
		return
	}
	sel := s.sel
	s.writeExpunged(sel.uids, sel.uids)
	sel.uids, sel.gone = mailbox.UIDs{}, true
	s.out.Text("* NO [NONEXISTENT] The selected mailbox has been deleted\r\n")
}

// writeExpunged sends VANISHED (RFC 7162 3.2.10), or EXPUNGE from the highest
// number down, so that no number shifts another.
func (s *session) writeExpunged(uids, removed mailbox.UIDs) {
	if removed.Empty() {
		return
	}
	if s.qresync {
		s.out.Text("* VANISHED ")
		s.writeUIDs(removed)
		s.out.CRLF()
		return
	}
	runs := removed.Runs()
	for i := len(runs) - 1; i >= 0; i-- {
		seq, ok := uids.Seq(runs[i].End())
		if !ok {
			continue
		}
		for n := uint32(0); n < runs[i].Count; n++ {
			s.out.Text("* ").Uint(uint64(seq - n)).Text(" EXPUNGE\r\n")
		}
	}
}

// writeFlagUpdate sends an unsolicited FETCH.
func (s *session) writeFlagUpdate(seq uint32, row *mailbox.Row) {
	s.out.Text("* ").Uint(uint64(seq)).Text(" FETCH (")
	if s.modseqs || s.rev2 {
		s.out.Text("UID ").Uint(uint64(row.UID)).Byte(' ')
	}
	if s.modseqs {
		s.out.Text("MODSEQ (").Uint(uint64(row.ModSeq)).Text(") ")
	}
	s.writeFlags(row.Flags, row.Keywords)
	s.out.Text(")\r\n")
}

// writeFlags writes the FLAGS item of a message.
func (s *session) writeFlags(f mailbox.Flags, keywords []string) {
	s.out.Text("FLAGS (")
	sep := ""
	for i, n := range systemFlags {
		if f&(1<<i) != 0 {
			s.out.Text(sep).Text(n)
			sep = " "
		}
	}
	for _, k := range keywords {
		s.out.Text(sep).Text(k)
		sep = " "
	}
	s.out.Byte(')')
}

// systemFlags are in the order of command.Flags.
var systemFlags = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

// writeFlagsLine sends the FLAGS response: all flags of the mailbox.
func (s *session) writeFlagsLine(keywords []string) {
	s.out.Text("* ")
	s.writeFlags(command.FlagsAll, keywords)
	s.out.CRLF()
}

// writeUIDs writes a list of UIDs as a uid-set.
func (s *session) writeUIDs(u mailbox.UIDs) {
	for i, r := range u.Runs() {
		if i > 0 {
			s.out.Byte(',')
		}
		s.out.Uint(uint64(r.Start))
		if r.Count > 1 {
			s.out.Byte(':').Uint(uint64(r.End()))
		}
	}
}

// resolve gives the UIDs a set of the client names, among those the session
// knows. A message number beyond the mailbox is the client's error (RFC 9051
// 6.4.5 wants BAD); a UID that is not there is none (6.4.9).
func (s *session) resolve(set wire.NumSet, byUID bool) (mailbox.UIDs, error) {
	sel := s.sel
	if sel.gone {
		return mailbox.UIDs{}, errGone
	}
	if set.Saved {
		return s.saved.uids.Intersect(sel.uids), nil
	}
	var b uidset.Builder
	if byUID {
		for _, r := range set.Resolve(uint32(sel.uids.Last())) {
			b.AddRange(rookery.UID(r.From), rookery.UID(r.To))
		}
		return b.Set().Intersect(sel.uids), nil
	}
	n := uint32(sel.uids.Len())
	ranges := set.Resolve(n)
	if len(ranges) == 0 || ranges.Max() > n {
		return mailbox.UIDs{}, bad("the message set goes beyond the %d messages of the mailbox", n)
	}
	return s.present(set), nil
}

// present gives the UIDs of the message numbers of a set that there are.
func (s *session) present(set wire.NumSet) mailbox.UIDs {
	uids := s.sel.uids
	if set.Saved {
		return s.saved.uids.Intersect(uids)
	}
	var b uidset.Builder
	n := uint32(uids.Len())
	for _, r := range set.Resolve(n) {
		if r.From <= n {
			addNumbers(&b, uids, r.From, min(r.To, n))
		}
	}
	return b.Set()
}

// addNumbers adds the UIDs of the message numbers from to to, run by run.
func addNumbers(b *uidset.Builder, uids mailbox.UIDs, from, to uint32) {
	runs := uids.Runs()
	first := uids.At(from)
	i, _ := slices.BinarySearchFunc(runs, first, func(r uidset.Run, u rookery.UID) int {
		switch {
		case r.End() < u:
			return -1
		case r.Start > u:
			return 1
		}
		return 0
	})
	last := uids.At(to)
	for ; i < len(runs) && runs[i].Start <= last; i++ {
		b.AddRange(max(runs[i].Start, first), min(runs[i].End(), last))
	}
}

// writable gives the selected mailbox's store, and refuses changes of one that
// is read-only or was opened with EXAMINE.
func (s *session) writable() (Changer, error) {
	c, ok := s.sel.store.(Changer)
	switch {
	case s.sel.gone:
		return nil, errGone
	case !ok:
		return nil, errReadOnlyStore
	case s.sel.readOnly:
		return nil, no("READ-ONLY", "The mailbox was opened with EXAMINE: nothing can be changed")
	}
	return c, nil
}

// mailboxName takes a mailbox name in the form the session speaks.
func (s *session) mailboxName(l *wire.Lexer) string {
	return s.decodeName(l, l.AString())
}

func (s *session) decodeName(l *wire.Lexer, raw string) string {
	if !l.OK() {
		return ""
	}
	name := raw
	if !s.utf8 && !s.rev2 {
		var err error
		if name, err = names.Decode(raw); err != nil {
			l.Fail(no("CANNOT", "%s", cleanText(err.Error())))
			return ""
		}
	}
	if wire.Fold(name, "INBOX") {
		return "INBOX"
	}
	return command.NormalName(name)
}

// writeName writes a mailbox name in the form the session speaks.
func (s *session) writeName(name string) {
	if !s.utf8 && !s.rev2 {
		name = names.Encode(name)
	}
	s.out.String(name)
}
