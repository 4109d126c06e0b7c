package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/habit"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var habitPart = part{
	Tables: []tables.Table{
		{ID: tableHabit, Name: "what an account sends to other systems",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.InTurn,
			Key: tables.Exactly(0), Check: tables.Decodes[habit.Record]},
		{ID: tableUnusual, Name: "account whose mail to other systems is held", From: tableHabit, Key: tables.Exactly(16),
			Check: tables.Length(0)},
	},
	Handlers: handlers{tables.On((*work).letSend)},
	Follows:  []tables.Follow[*work]{{Table: tableHabit, Row: (*work).followHabit}},
}

func (w *work) habit(id rookery.AccountID) (r habit.Record) {
	if v := w.Get(accountKey(tableHabit, id)); v != nil {
		must(tables.Decode(v, &r))
	}
	return r
}

// sending is the habit of an item's account with the item; nil where it is not
// counted. again is when the account may send again, if it may not. It changes
// nothing.
func (w *work) sending(c *command.Item) (r *habit.Record, again int64, err error) {
	if c == nil || c.Rate == nil {
		return nil, 0, nil
	}
	if _, err := w.account(c.Account); err != nil {
		return nil, 0, err // it is counted where the account is
	}
	remote := uint32(0)
	for i := range c.Rows {
		if c.Rows[i].Kind == command.ToRemote {
			remote++
		}
	}
	h := w.habit(c.Account)
	again = h.Send(remote, w.Time(), *c.Rate)
	return &h, again, nil
}

// sends counts what sending has found.
func (w *work) sends(c *command.Item, r *habit.Record) (unusual bool) {
	if r == nil {
		return false
	}
	w.setHabit(c.Account, r)
	c.Unusual = r.Held
	return r.Held
}

func (w *work) setHabit(id rookery.AccountID, r *habit.Record) {
	w.Set(accountKey(tableHabit, id), tables.Encode(r))
	w.unusual(id, r.Held)
}

func (w *work) unusual(id rookery.AccountID, is bool) {
	if k := newKey(tableUnusual).Account(id); is {
		w.Set(k, nil)
	} else if w.Get(k) != nil {
		w.Delete(k)
	}
}

func (w *work) followHabit(id rookery.AccountID, _ key, _, v []byte) {
	var r habit.Record
	if v != nil {
		must(tables.Decode(v, &r))
	}
	w.unusual(id, r.Held)
}

// letSend lets an account send again. What is held of it stays so.
func (w *work) letSend(c *command.LetSend) (command.Result, error) {
	if _, err := w.account(c.Account); err != nil {
		return nil, err
	}
	r := w.habit(c.Account)
	r.Lift(w.Time())
	w.setHabit(c.Account, &r)
	return &command.Done{}, nil
}

// Unusual lists accounts whose mail to other systems is held because it is far
// more than is usual for them, at most limit.
func (m *Machine) Unusual(limit int) (ids []rookery.AccountID, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(newKey(tableUnusual), newKey(tableUnusual).End(), func(k, _ []byte) (bool, error) {
			ids = append(ids, rookery.AccountID(k[1:17]))
			return len(ids) < limit, nil
		})
	})
	return ids, err
}
