package mailbox

import (
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// work is one command in execution. Accounts and mailboxes it touches are
// loaded once, changed in memory and written by flush; other rows are written
// straight away, so every check comes before the first of them.
type work struct {
	tables.Change
	m        *Machine
	payload  LogPiece // where the command's payload lies
	lines    uint32   // of the trace
	accounts map[rookery.AccountID]*openAccount
	order    []*openAccount
}

type openAccount struct {
	account
	dirty  bool
	moved  bool // this command has its MODSEQ
	listed bool // the list of mailboxes, subscriptions or the quota changed
	boxes  map[rookery.MailboxID]*openBox
	order  []*openBox
	away   *moving // where it is frozen or sealed, its row is in there
}

type openBox struct {
	box
	meta, counters bool // which of its records to write
	removed        bool
}

// must ends the process where a record does not decode: a damaged state must
// not diverge.
func must(err error) { tables.Must(err) }

func (m *Machine) begin(tx state.Tx) *work {
	w := &work{m: m, Change: tables.Change{Tx: tx}}
	w.Watch = w
	return w
}

// account loads an account. The error is KindNotFound.
func (w *work) account(id rookery.AccountID) (*openAccount, error) {
	if a := w.accounts[id]; a != nil {
		return a, nil
	}
	if a := w.m.hot.account(id); a != nil {
		return w.open(a), nil
	}
	v := w.Get(accountKey(tableAccount, id))
	if v == nil {
		return nil, missing(w.Tx, id)
	}
	a, err := decodeAccount(id, v)
	must(err)
	return w.open(a), nil
}

func (w *work) open(a *account) *openAccount {
	o := &openAccount{account: *a}
	if w.accounts == nil {
		w.accounts = make(map[rookery.AccountID]*openAccount, 1)
	}
	w.accounts[a.ID] = o
	w.order = append(w.order, o)
	return o
}

// box loads a mailbox. The error is KindNotFound.
func (w *work) box(a *openAccount, id rookery.MailboxID) (*openBox, error) {
	if x := a.boxes[id]; x != nil && !x.removed {
		return x, nil
	}
	if b := w.m.hot.box(a.ID, id); b != nil && a.boxes[id] == nil {
		return a.open(b), nil
	}
	b, err := readBox(w.Tx, a.ID, id)
	must(err)
	if b == nil {
		return nil, refuse(rookery.KindNotFound, "mailbox %d does not exist; it may have been deleted", id)
	}
	return a.open(b), nil
}

func (a *openAccount) open(b *box) *openBox {
	x := &openBox{box: *b}
	if a.boxes == nil {
		a.boxes = make(map[rookery.MailboxID]*openBox, 1)
	}
	a.boxes[b.ID] = x
	a.order = append(a.order, x)
	return x
}

// readBox reads both records of a mailbox; nil where there is none.
func readBox(r state.Reader, a rookery.AccountID, id rookery.MailboxID) (*box, error) {
	k := mailboxKey(tableMailbox, a, id)
	v, err := r.Get(k)
	if err != nil || v == nil {
		return nil, err
	}
	b := &box{Mailbox: Mailbox{ID: id}}
	if err := b.decode(v); err != nil {
		return nil, err
	}
	k[0] = tableCounters
	if v, err = r.Get(k); err != nil {
		return nil, err
	}
	return b, b.decodeCounters(v)
}

// modseq gives the command's MODSEQ in an account, one for all its changes.
func (a *openAccount) modseq() rookery.ModSeq {
	if !a.moved {
		a.ModSeq++
		a.moved, a.dirty = true, true
	}
	return a.ModSeq
}

// touch records that messages of x changed; with uids also its list of UIDs.
func (x *openBox) touch(s rookery.ModSeq, uids bool) {
	x.HighestModSeq = s
	if uids {
		x.uidsModSeq = s
	}
	x.counters = true
}

// flush writes what the command changed and tells the sessions of it.
func (w *work) flush() {
	for _, a := range w.order {
		switch {
		case a.dirty && a.away != nil:
			a.away.Account = a.encode()
			w.setMoving(a.ID, a.away)
		case a.dirty:
			w.Set(accountKey(tableAccount, a.ID), a.encode())
		}
		for _, x := range a.order {
			if x.removed {
				continue
			}
			if x.meta {
				w.Set(mailboxKey(tableMailbox, a.ID, x.ID), x.encode())
			}
			if x.counters {
				w.Set(mailboxKey(tableCounters, a.ID, x.ID), x.encodeCounters())
			}
		}
		if a.away == nil {
			w.m.hot.keep(a)
		}
	}
	if w.m.events != nil && len(w.order) > 0 {
		order := w.order
		w.OnCommit(func() { tell(w.m.events, order) })
	}
}

func tell(events Events, order []*openAccount) {
	for _, a := range order {
		for _, x := range a.order {
			if x.counters && !x.removed {
				events.Changed(a.ID, x.ID, x.HighestModSeq)
			}
		}
		if a.listed {
			events.Changed(a.ID, 0, a.ModSeq)
		}
	}
}

// rows collects the messages of a mailbox among uids, at most limit, and
// says whether there are more. keep may skip some.
func (w *work) rows(a *openAccount, x *openBox, uids UIDs, limit int, keep func(*row) bool) (found []uidRow, more bool) {
	take := func(k, v []byte) bool {
		var r row
		must(decodeRow(v, &r))
		if keep != nil && !keep(&r) {
			return true
		}
		if len(found) == limit {
			more = true
			return false
		}
		r.keywords = slices.Clone(r.keywords)
		found = append(found, uidRow{rookery.UID(tables.U32At(k, len(k)-4)), r})
		return true
	}
	for _, run := range uids.Runs() {
		if run.Start >= x.UIDNext || more {
			break
		}
		k := rowKey(a.ID, x.ID, run.Start)
		if run.Count == 1 {
			if v := w.Get(k); v != nil {
				take(k, v)
			}
			continue
		}
		w.Between(k, append(rowKey(a.ID, x.ID, run.End()), 0), take)
	}
	return found, more
}

type uidRow struct {
	uid rookery.UID
	row
}

// few is rows for commands that take all their messages or refuse.
func (w *work) few(a *openAccount, x *openBox, uids UIDs) ([]uidRow, error) {
	found, more := w.rows(a, x, uids, command.MaxBatch, nil)
	if more {
		return nil, refuse(rookery.KindLimit, "more than %d messages in one command; split it", command.MaxBatch)
	}
	return found, nil
}
