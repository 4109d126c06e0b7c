package imap

import (
	"context"
	"strings"

	"rookery"
	"rookery/protocols/imap/wire"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

// selectFamily holds SELECT, EXAMINE, CLOSE and UNSELECT (RFC 9051 6.3.2,
// 6.3.3, 6.4.1, 6.4.2) with the parameters of RFC 7162.
func selectFamily() family {
	return family{
		commands: []*cmd{
			define("SELECT", signedIn, tellNothing, parseSelect, func(s *session, ctx context.Context, a selectArgs) error {
				return s.runSelect(ctx, a, false)
			}),
			define("EXAMINE", signedIn, tellNothing, parseSelect, func(s *session, ctx context.Context, a selectArgs) error {
				return s.runSelect(ctx, a, true)
			}),
			plain("CLOSE", selectedState, tellNothing, (*session).runClose),
			plain("UNSELECT", selectedState, tellNothing, (*session).runUnselect),
		},
		caps: caps(signedIn, "UNSELECT"),
	}
}

type selectArgs struct {
	name      string
	condstore bool
	resync    *resync
}

// resync is the QRESYNC parameter (RFC 7162 3.2.5). The optional message
// sequence match data only saves the server work and is not used.
type resync struct {
	validity rookery.UIDValidity
	modseq   rookery.ModSeq
	known    *wire.NumSet
}

func parseSelect(s *session, l *wire.Lexer) selectArgs {
	var a selectArgs
	l.SP()
	a.name = s.mailboxName(l)
	if l.Accept(' ') {
		l.Byte('(')
		for l.OK() && !l.Accept(')') {
			l.Accept(' ')
			switch p := strings.ToUpper(l.Atom()); p {
			case "CONDSTORE":
				a.condstore = true
			case "QRESYNC":
				if !s.qresync {
					l.Syntax("the parameter QRESYNC needs ENABLE QRESYNC first")
				}
				a.resync = parseResync(l)
			default:
				l.Syntax("the SELECT parameter %.40s is unknown", p)
			}
		}
	}
	l.End()
	return a
}

func parseResync(l *wire.Lexer) *resync {
	r := &resync{}
	l.SP()
	l.Byte('(')
	r.validity = rookery.UIDValidity(l.Number())
	l.SP()
	r.modseq = rookery.ModSeq(l.Digits())
	if l.Accept(' ') {
		if !l.Next('(') {
			set := l.NumSet()
			r.known = &set
			if l.Accept(' ') {
				parseMatchData(l)
			}
		} else {
			parseMatchData(l)
		}
	}
	l.Byte(')')
	return r
}

func parseMatchData(l *wire.Lexer) {
	l.Byte('(')
	l.NumSet()
	l.SP()
	l.NumSet()
	l.Byte(')')
}

func (s *session) runSelect(ctx context.Context, a selectArgs, examine bool) error {
	if s.sel != nil {
		s.unselect()
		s.out.Text("* OK [CLOSED] The previous mailbox is closed\r\n")
	}
	p, v, m, err := s.find(ctx, a.name)
	if err != nil {
		return err
	}
	defer v.Close()
	_, err = p.changer()
	readOnly := examine || err != nil
	uids, err := v.UIDs(m.ID)
	if err != nil {
		return err
	}
	s.modseqs = s.modseqs || a.condstore
	sel := &selected{
		store: p.store, id: m.ID, validity: m.UIDValidity, readOnly: readOnly, uids: uids,
		last: max(uids.Last(), m.UIDNext-1), modseq: m.HighestModSeq, keywords: len(m.Keywords),
	}
	s.writeSelected(m, p.store.ID(), readOnly)
	if !s.rev2 && m.Unseen > 0 {
		seq, err := firstUnseen(v, m, uids)
		if err != nil {
			return err
		}
		if seq > 0 {
			s.out.Text("* OK [UNSEEN ").Uint(uint64(seq)).Text("] First unseen\r\n")
		}
	}
	if a.resync != nil && a.resync.validity == m.UIDValidity {
		if err := s.writeResync(v, m, uids, a.resync); err != nil {
			return err
		}
	}
	s.sel, s.state = sel, selectedState
	s.done.code, s.done.text = "READ-WRITE", "SELECT completed"
	if readOnly {
		s.done.code = "READ-ONLY"
	}
	if examine {
		s.done.text = "EXAMINE completed"
	}
	return nil
}

// writeSelected sends what the client needs to know of the mailbox.
func (s *session) writeSelected(m mailbox.Mailbox, of rookery.AccountID, readOnly bool) {
	w := s.out
	s.writeFlagsLine(m.Keywords)
	if readOnly {
		w.Text("* OK [PERMANENTFLAGS ()] Read-only\r\n")
	} else {
		w.Text("* OK [PERMANENTFLAGS (")
		for _, f := range systemFlags {
			w.Text(f).Byte(' ')
		}
		for _, k := range m.Keywords {
			w.Text(k).Byte(' ')
		}
		w.Text("\\*)] Flags permitted\r\n")
	}
	w.Text("* ").Uint(uint64(m.Messages)).Text(" EXISTS\r\n")
	if !s.rev2 {
		w.Text("* 0 RECENT\r\n")
	}
	w.Text("* OK [UIDVALIDITY ").Uint(uint64(m.UIDValidity)).Text("] UIDs valid\r\n")
	w.Text("* OK [UIDNEXT ").Uint(uint64(m.UIDNext)).Text("] Predicted next UID\r\n")
	w.Text("* OK [HIGHESTMODSEQ ").Uint(uint64(m.HighestModSeq)).Text("] Highest\r\n")
	w.Text("* OK [MAILBOXID (").Text(m.ID.ObjectID(of)).Text(")] Ok\r\n")
	if s.rev2 {
		w.Text(`* LIST () "/" `)
		s.writeName(m.Name)
		w.CRLF()
	}
}

// unseenScan is how many rows are looked at for the first unseen message, and
// unseenStep how many at a time.
const (
	unseenScan = 20_000
	unseenStep = 512
)

// firstUnseen is the number of the first message without \Seen (RFC 3501 7.1),
// 0 where it is not found soon. What is unseen is mostly the newest, so the rows
// are looked at from both ends: once all unseen ones are met from behind, the
// last of those is the first.
func firstUnseen(v View, m mailbox.Mailbox, uids mailbox.UIDs) (uint32, error) {
	low, high, left := uint32(1), uint32(uids.Len()), m.Unseen
	for scanned := 0; low <= high && scanned < unseenScan; scanned += 2 * unseenStep {
		first, _, err := unseenIn(v, m.ID, uids, low, min(high, low+unseenStep-1))
		if err != nil || first > 0 {
			return first, err
		}
		if low += unseenStep; low > high {
			break
		}
		from := max(low, high-min(high, unseenStep)+1)
		first, count, err := unseenIn(v, m.ID, uids, from, high)
		if left -= min(left, count); err != nil || left == 0 {
			return first, err
		}
		high = from - 1
	}
	return 0, nil
}

// unseenIn counts the messages without \Seen among numbers, and gives the first.
func unseenIn(v View, id rookery.MailboxID, uids mailbox.UIDs, from, to uint32) (first, count uint32, err error) {
	var b uidset.Builder
	addNumbers(&b, uids, from, to)
	err = v.RowsIn(id, b.Set(), func(row mailbox.Row) bool {
		if row.Flags&flagSeen == 0 {
			if count++; first == 0 {
				first, _ = uids.Seq(row.UID)
			}
		}
		return true
	})
	return first, count, err
}

// writeResync sends what a client that was here before has missed.
func (s *session) writeResync(v View, m mailbox.Mailbox, uids mailbox.UIDs, r *resync) error {
	changes, err := v.Changes(m.ID, r.modseq)
	if err != nil {
		return err
	}
	known := uidset.Range(1, m.UIDNext-1)
	if r.known != nil {
		known = knownUIDs(*r.known, m.UIDNext-1)
	}
	vanished := changes.Vanished.Intersect(known)
	if !changes.Complete {
		vanished = known.Without(uids)
	}
	if !vanished.Empty() {
		s.out.Text("* VANISHED (EARLIER) ")
		s.writeUIDs(vanished)
		s.out.CRLF()
	}
	for i := range changes.Rows {
		row := &changes.Rows[i]
		if r.known != nil && !known.Contains(row.UID) {
			continue
		}
		if seq, ok := uids.Seq(row.UID); ok {
			s.writeFlagUpdate(seq, row)
		}
	}
	return nil
}

// knownUIDs is a set of the client's as UIDs up to last.
func knownUIDs(set wire.NumSet, last rookery.UID) mailbox.UIDs {
	var b uidset.Builder
	for _, r := range set.Resolve(uint32(last)) {
		if rookery.UID(r.From) <= last {
			b.AddRange(rookery.UID(r.From), min(rookery.UID(r.To), last))
		}
	}
	return b.Set()
}

func (s *session) unselect() {
	s.sel, s.saved = nil, savedSearch{}
	s.state = authenticated
}

// runClose expunges in silence what is marked \Deleted, except after EXAMINE.
func (s *session) runClose(ctx context.Context) error {
	if from, err := s.writable(); err == nil {
		if _, err := s.expunge(ctx, from, nil); err != nil {
			return err
		}
	}
	s.unselect()
	return nil
}

func (s *session) runUnselect(context.Context) error {
	s.unselect()
	return nil
}
