package imap

import (
	"context"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

func runFetch(byUID bool) func(*session, context.Context, fetchArgs) error {
	return func(s *session, ctx context.Context, a fetchArgs) error { return s.fetch(ctx, a, byUID) }
}

// lightBatch and heavyBatch are how many messages are read from one view. A
// view must not be held while a slow client takes bodies.
const (
	lightBatch  = 512
	headerBatch = 256
	bodyBatch   = 16
)

// fetcher is one FETCH in progress.
type fetcher struct {
	*session
	ctx   context.Context
	args  *fetchArgs
	items []fetchItem
	heavy bool // something is read beside the rows
	// extracts: the extract is needed, and not only the body.
	extracts bool
	// headerOnly: of the extract, only the header block is needed.
	headerOnly bool
	flags      bool // FLAGS is among the items
	batch      int
	// opener, where there are many messages to open.
	opener *opener
	// seen collects the messages to mark as seen once they are sent.
	seen uidset.Builder
	// gone counts the messages asked for and not found.
	gone int
	// failed is the first error of a message that could not be read.
	failed error
	rows   []mailbox.Row
}

func (s *session) fetch(ctx context.Context, a fetchArgs, byUID bool) error {
	f := &fetcher{session: s, ctx: ctx, args: &a}
	f.plan(byUID)
	uids, err := s.resolve(a.set, byUID)
	if err != nil {
		return err
	}
	if a.vanished {
		if err := f.vanished(byUID); err != nil {
			return err
		}
	}
	ctx, stop := s.guard(ctx)
	defer stop()
	f.ctx = ctx
	if f.extracts && uids.Len() >= openAhead {
		f.opener = newOpener()
		defer f.opener.close()
	}
	if err := f.run(uids); err != nil {
		return err
	}
	f.markSeen()
	switch {
	case f.failed != nil:
		return f.failed
	case f.gone > 0 && !byUID:
		s.done.code, s.done.text = "EXPUNGEISSUED", "Some of the messages are gone"
	}
	return nil
}

// plan adds the items that go with others.
func (f *fetcher) plan(byUID bool) {
	has := map[string]bool{}
	f.batch, f.headerOnly = lightBatch, true
	for i := range f.args.items {
		it := &f.args.items[i]
		has[it.name] = has[it.name] || it.section == nil
		if it.needsExtract() {
			f.heavy, f.extracts = true, true
			f.batch = min(f.batch, headerBatch)
			f.headerOnly = f.headerOnly && it.section != nil
		}
		if it.needsBody() {
			f.heavy = true
			f.batch, f.headerOnly = bodyBatch, false
		}
	}
	f.flags = has["FLAGS"]
	if has["MODSEQ"] || f.args.since != nil {
		f.enableModSeqs()
	}
	if (byUID || f.qresync) && !has["UID"] {
		f.items = append(f.items, fetchItem{name: "UID"})
	}
	f.items = append(f.items, f.args.items...)
	// RFC 7162 3.1: a client that knows MODSEQ gets it with every FLAGS.
	if f.modseqs && !has["MODSEQ"] && (has["FLAGS"] || f.args.since != nil) {
		f.items = append(f.items, fetchItem{name: "MODSEQ"})
	}
}

// run sends the messages batch by batch, each from a view of its own.
func (f *fetcher) run(uids mailbox.UIDs) error {
	f.gone = uids.Len()
	for !uids.Empty() {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		last, err := f.some(uids)
		if err != nil || f.out.Err() != nil {
			return err
		}
		if last == 0 {
			break
		}
		uids = uids.Without(uidset.Range(1, last))
	}
	return f.out.Err()
}

// some sends the first messages of a list and gives the last UID done, 0 where
// the list is at its end.
func (f *fetcher) some(uids mailbox.UIDs) (last rookery.UID, err error) {
	v, err := f.sel.store.View()
	if err != nil {
		return 0, err
	}
	defer v.Close()
	f.rows = f.rows[:0]
	err = v.RowsIn(f.sel.id, uids, func(row mailbox.Row) bool {
		f.rows = append(f.rows, row)
		return len(f.rows) < f.batch
	})
	if err != nil {
		return 0, err
	}
	f.gone -= len(f.rows)
	if f.flags {
		m, err := v.Mailbox(f.sel.id)
		if err != nil {
			return 0, err
		}
		f.tellKeywords(m)
	}
	if err := f.send(v); err != nil || f.out.Err() != nil {
		return 0, err
	}
	if len(f.rows) == f.batch {
		last = f.rows[f.batch-1].UID
	}
	return last, nil
}

// send sends the rows read from a view.
func (f *fetcher) send(v View) (err error) {
	var only reading // where they come one by one
	for i := 0; i < len(f.rows) && err == nil && f.out.Err() == nil; i++ {
		row := &f.rows[i]
		if f.args.since != nil && row.ModSeq <= *f.args.since {
			continue
		}
		if f.opener == nil {
			only = reading{session: f.session, ctx: f.ctx, view: v, row: row, headerOnly: f.headerOnly}
			f.one(&only)
		} else {
			m := &reading{session: f.session, ctx: f.ctx, view: v, row: row, headerOnly: f.headerOnly}
			m.read()
			f.opener.give(m)
			if f.opener.pending == openAhead {
				f.one(f.opener.take())
			}
		}
		if f.heavy {
			err = f.ctx.Err()
		}
	}
	for f.opener != nil && f.opener.pending > 0 {
		if m := f.opener.take(); err == nil {
			f.one(m)
		}
	}
	return err
}

// one sends one message. What cannot be read is left out and fails the
// command in the end, while the others are sent.
func (f *fetcher) one(m *reading) {
	row := m.row
	seq, ok := f.sel.uids.Seq(row.UID)
	if !ok || f.out.Err() != nil {
		return
	}
	defer m.close()
	if f.heavy {
		if err := f.prepare(m); err != nil {
			if f.failed == nil {
				f.failed = err
			}
			return
		}
	}
	f.out.Text("* ").Uint(uint64(seq)).Text(" FETCH (")
	for i := range f.items {
		if i > 0 {
			f.out.Byte(' ')
		}
		f.item(m, &f.items[i])
	}
	f.out.Text(")\r\n")
	for i := range f.items {
		if f.items[i].setsSeen() && row.Flags&flagSeen == 0 && !f.sel.readOnly {
			f.seen.Add(row.UID)
		}
	}
}

// prepare reads whatever may fail before the response begins.
func (f *fetcher) prepare(m *reading) error {
	if f.extracts {
		if _, err := m.extract(); err != nil {
			return err
		}
	}
	for i := range f.items {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		if sec := f.items[i].section; sec != nil {
			c, err := m.content(sec)
			if err != nil {
				return err
			}
			m.contents = append(m.contents, c)
		}
	}
	return nil
}

// item writes one item of a prepared message.
func (f *fetcher) item(m *reading, it *fetchItem) {
	w, row := f.out, m.row
	if it.section != nil {
		c := m.contents[0]
		m.contents = m.contents[1:]
		f.writeContent(it, c)
		return
	}
	switch it.name {
	case "FLAGS":
		f.writeFlags(row.Flags, row.Keywords)
	case "UID":
		w.Text("UID ").Uint(uint64(row.UID))
	case "INTERNALDATE":
		w.Text("INTERNALDATE ")
		f.writeDate(row.InternalDate)
	case "RFC822.SIZE":
		w.Text("RFC822.SIZE ").Uint(uint64(row.Size))
	case "MODSEQ":
		w.Text("MODSEQ (").Uint(uint64(row.ModSeq)).Byte(')')
	case "EMAILID":
		w.Text("EMAILID (").Text(row.Email.String()).Byte(')')
	case "THREADID":
		if row.Thread == (rookery.ThreadID{}) {
			w.Text("THREADID NIL")
		} else {
			w.Text("THREADID (").Text(row.Thread.String()).Byte(')')
		}
	case "SAVEDATE":
		w.Text("SAVEDATE ")
		if row.SaveDate == 0 {
			w.Text("NIL")
		} else {
			f.writeDate(row.SaveDate)
		}
	case "PREVIEW":
		w.Text("PREVIEW ").String(m.ex.Preview)
	case "ENVELOPE":
		w.Text("ENVELOPE ")
		writeEnvelope(w, &m.ex.Envelope)
	case "BODY", "BODYSTRUCTURE":
		w.Text(it.name).Byte(' ')
		writeStructure(w, m.ex.Structure, it.name == "BODYSTRUCTURE")
	}
}

// writeDate writes a date-time (RFC 9051 section 9) in UTC.
func (s *session) writeDate(unix int64) {
	var some [32]byte
	s.out.Write(time.Unix(unix, 0).UTC().AppendFormat(some[:0], `"_2-Jan-2006 15:04:05 -0700"`))
}

// vanished sends what was expunged since CHANGEDSINCE (RFC 7162 3.2.6).
func (f *fetcher) vanished(byUID bool) error {
	if !byUID {
		return bad("VANISHED needs UID FETCH")
	}
	v, err := f.sel.store.View()
	if err != nil {
		return err
	}
	defer v.Close()
	m, err := v.Mailbox(f.sel.id)
	if err != nil {
		return err
	}
	known := knownUIDs(f.args.set, m.UIDNext-1)
	if f.args.set.Saved {
		known = f.saved.uids
	}
	changes, err := v.Changes(f.sel.id, *f.args.since)
	if err != nil {
		return err
	}
	gone := changes.Vanished.Intersect(known)
	if !changes.Complete {
		now, err := v.UIDs(f.sel.id)
		if err != nil {
			return err
		}
		gone = known.Without(now)
	}
	// What the session still counts is told by EXPUNGE's own way.
	if gone = gone.Without(f.sel.uids); !gone.Empty() {
		f.out.Text("* VANISHED (EARLIER) ")
		f.writeUIDs(gone)
		f.out.CRLF()
	}
	return nil
}

// markSeen sets \Seen on what was sent. Reading does not fail where that does:
// it is told when it has happened.
func (f *fetcher) markSeen() {
	uids := f.seen.Set()
	if uids.Empty() || f.ctx.Err() != nil {
		return
	}
	in, err := f.writable()
	if err != nil {
		return // nothing was collected
	}
	ctx, cancel := context.WithTimeout(f.ctx, 3*time.Second)
	defer cancel()
	_, _, err = in.StoreFlags(ctx, command.StoreFlags{
		Mailbox: f.sel.id, UIDs: uids, Mode: command.StoreAdd, Flags: command.FlagSeen})
	if err != nil && !rookery.Is(err, rookery.KindNotFound) {
		f.logger().Warn("IMAP could not mark messages as seen", "error", err)
	}
}
