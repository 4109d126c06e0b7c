package imap

import (
	"context"
	"errors"

	"rookery"
	"rookery/protocols/imap/wire"
	"rookery/storage/mailbox"
	"rookery/storage/message"
	"rookery/storage/search"
	"rookery/storage/uidset"
)

func runSearch(byUID bool) func(*session, context.Context, searchArgs) error {
	return func(s *session, ctx context.Context, a searchArgs) error {
		ctx, cancel := context.WithTimeout(ctx, s.srv.limits.Search)
		defer cancel()
		err := s.search(ctx, &a, byUID)
		if err != nil && ctx.Err() == context.DeadlineExceeded {
			err = no("LIMIT", "SEARCH took longer than %v; look for less, or in fewer messages", s.srv.limits.Search)
		}
		if err != nil && a.save {
			s.saved = savedSearch{} // RFC 5182 2.1
		}
		return err
	}
}

// searcher is one SEARCH in progress.
type searcher struct {
	*session
	ctx   context.Context
	key   *search.Key
	found uidset.Builder
	// high is the greatest MODSEQ of those found; first and last are those of
	// the first and the last.
	high, first, last rookery.ModSeq
	only              bool // the first match is enough
}

func (s *session) search(ctx context.Context, a *searchArgs, byUID bool) error {
	candidates, err := s.bind(ctx, a)
	if err != nil {
		return err
	}
	if a.modseq {
		s.enableModSeqs()
	}
	ctx, stop := s.guard(ctx)
	defer stop()
	r := &searcher{session: s, ctx: ctx, key: a.key,
		only: a.min && !a.max && !a.all && !a.count && !a.save && !a.modseq}
	if err := r.run(candidates); err != nil {
		return err
	}
	found := r.found.Set()
	if a.save {
		s.saved = savedSearch{a.kept(found)}
	}
	switch {
	case a.extended || s.rev2:
		if !a.extended {
			a.all = true
		}
		s.writeESearch(a, found, r.told(a), byUID)
	default:
		s.writeSearch(a, found, r.high, byUID)
	}
	return nil
}

// told is the MODSEQ that goes with the results: where MIN and MAX are all that
// is asked for, that of those messages (RFC 4731 3.2).
func (r *searcher) told(a *searchArgs) (m rookery.ModSeq) {
	if a.all || a.count || !a.min && !a.max {
		return r.high
	}
	if a.min {
		m = r.first
	}
	if a.max {
		m = max(m, r.last)
	}
	return m
}

// kept is what SAVE keeps (RFC 5182 2.4): all, or what MIN and MAX name.
func (a *searchArgs) kept(found mailbox.UIDs) mailbox.UIDs {
	if a.all || a.count || !a.min && !a.max {
		return found
	}
	var b uidset.Builder
	if a.min {
		b.Add(found.First())
	}
	if a.max {
		b.Add(found.Last())
	}
	return b.Set()
}

// bind resolves the sets among the keys, and narrows the messages looked at
// to what the sets on the tree's conjunctions allow.
func (s *session) bind(ctx context.Context, a *searchArgs) (mailbox.UIDs, error) {
	if s.sel.gone {
		return mailbox.UIDs{}, errGone
	}
	for _, k := range a.sets {
		if err := ctx.Err(); err != nil {
			return mailbox.UIDs{}, err
		}
		if !k.byUID {
			k.key.SetUIDs(s.present(k.set))
			continue
		}
		uids, err := s.resolve(k.set, true)
		if err != nil {
			return mailbox.UIDs{}, err
		}
		k.key.SetUIDs(uids)
	}
	return a.key.Narrow(s.sel.uids), nil
}

// searchBatch is how many messages are looked at through one view, where more
// than rows are needed.
const searchBatch = 100

func (r *searcher) run(uids mailbox.UIDs) error {
	matcher := search.NewMatcher(r.key)
	for !uids.Empty() {
		last, err := r.batch(matcher, uids)
		if err != nil || last == 0 {
			return err
		}
		uids = uids.Without(uidset.Range(1, last))
	}
	return nil
}

func (r *searcher) batch(matcher *search.Matcher, uids mailbox.UIDs) (last rookery.UID, err error) {
	v, err := r.sel.store.View()
	if err != nil {
		return 0, err
	}
	defer v.Close()
	n, done := 0, false
	var failed error
	var m searched
	err = v.RowsIn(r.sel.id, uids, func(row mailbox.Row) bool {
		if n++; n%256 == 0 || r.key.NeedsContent() {
			if failed = r.ctx.Err(); failed != nil {
				return false
			}
		}
		m.reading = reading{session: r.session, ctx: r.ctx, view: v, row: &row}
		var ok bool
		ok, failed = matcher.Match(r.ctx, &row, &m)
		m.close()
		if failed != nil {
			return false
		}
		if ok {
			r.found.Add(row.UID)
			r.high, r.last = max(r.high, row.ModSeq), row.ModSeq
			if r.first == 0 {
				r.first = row.ModSeq
			}
			if done = r.only; done {
				return false
			}
		}
		if r.key.NeedsContent() && n >= searchBatch {
			last = row.UID
			return false
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return last, err
}

// searched is a message as storage/search reads it.
type searched struct{ reading }

// Extract implements search.Content.
func (m *searched) Extract() (*message.Extract, error) {
	x, err := m.extract()
	var r *reply
	if errors.As(err, &r) && r.code == "EXPUNGEISSUED" {
		return nil, rookery.E("search", rookery.KindNotFound, err)
	}
	return x, err
}

// Body implements search.Content.
func (m *searched) Body() (search.Reader, error) { return m.body() }

// writeSearch sends SEARCH (RFC 3501 7.2.5).
func (s *session) writeSearch(a *searchArgs, found mailbox.UIDs, high rookery.ModSeq, byUID bool) {
	s.out.Text("* SEARCH")
	for uid := range found.All() {
		n := uint32(uid)
		if !byUID {
			n, _ = s.sel.uids.Seq(uid)
		}
		s.out.Byte(' ').Uint(uint64(n))
	}
	if a.modseq && !found.Empty() {
		s.out.Text(" (MODSEQ ").Uint(uint64(high)).Byte(')')
	}
	s.out.CRLF()
}

// writeESearch sends ESEARCH (RFC 9051 7.3.4). SAVE alone asks for nothing
// (RFC 5182 2.1).
func (s *session) writeESearch(a *searchArgs, found mailbox.UIDs, high rookery.ModSeq, byUID bool) {
	if a.save && !a.min && !a.max && !a.all && !a.count {
		return
	}
	w := s.out
	w.Text("* ESEARCH (TAG ").String(s.tag).Byte(')')
	if byUID {
		w.Text(" UID")
	}
	number := func(uid rookery.UID) uint64 {
		if !byUID {
			seq, _ := s.sel.uids.Seq(uid)
			return uint64(seq)
		}
		return uint64(uid)
	}
	if !found.Empty() {
		if a.min {
			w.Text(" MIN ").Uint(number(found.First()))
		}
		if a.max {
			w.Text(" MAX ").Uint(number(found.Last()))
		}
		if a.all {
			w.Text(" ALL ")
			if byUID {
				s.writeUIDs(found)
			} else {
				w.Set(s.numberSet(found))
			}
		}
	}
	if a.count {
		w.Text(" COUNT ").Uint(uint64(found.Len()))
	}
	if a.modseq && !found.Empty() {
		w.Text(" MODSEQ ").Uint(uint64(high))
	}
	w.CRLF()
}

// numberSet turns UIDs into message numbers.
func (s *session) numberSet(u mailbox.UIDs) wire.Set {
	var set wire.Set
	for _, r := range u.Runs() {
		from, ok1 := s.sel.uids.Seq(r.Start)
		to, ok2 := s.sel.uids.Seq(r.End())
		if ok1 && ok2 && to-from == r.Count-1 {
			set.AddRange(from, to)
			continue
		}
		for uid := r.Start; ; uid++ {
			if seq, ok := s.sel.uids.Seq(uid); ok {
				set.Add(seq)
			}
			if uid == r.End() {
				break
			}
		}
	}
	return set
}
