package mailbox

import (
	"bytes"
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var filedPart = part{
	Tables: []tables.Table{
		{ID: tableFiledFor, Name: "delivery filed for an intent",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.InTurn,
			Key: tables.Exactly(16), Check: tables.Decodes[command.Filed]},
		{ID: tableFiledBy, Name: "account by intent", From: tableFiledFor, Key: tables.Exactly(16 + 16), Check: tables.Length(0)},
		{ID: tableFiled, Name: "command filed for an intent",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(16), Check: checkFiled},
	},
	Handlers: handlers{
		tables.On((*work).intentForget),
	},
	Follows: []tables.Follow[*work]{{Table: tableFiledFor, Row: (*work).followFiled}},
}

// What was filed for an intent of another group is kept, so that it is filed
// once however often the other group tries: in one mark for the command, or
// (Deliver.Each) in one for each account, which goes where the account goes. A
// mark for the command is not enough where accounts move: the second command
// of an intent in a group may be for an account that has just come.

// deliverOnce files one delivery, unless it was filed for its intent before.
func (w *work) deliverOnce(c *command.Deliver, d *command.Delivery, id BodyID) (filed command.Filed, fresh bool) {
	if c.FromIntent == nil || !c.Each {
		return w.deliverOne(c, d, id)
	}
	k := filedForKey(d.Account, *c.FromIntent)
	if v := w.Get(k); v != nil {
		must(tables.Decode(v, &filed))
		return filed, false
	}
	// Filed by a command of the time before: then the account has the message.
	if w.Get(intentKey(tableFiled, *c.FromIntent)) != nil && w.email(d.Account, c.Email) != nil {
		return command.Filed{OK: true}, false
	}
	filed, fresh = w.deliverOne(c, d, id)
	if w.accounts[d.Account] != nil { // else there is nobody to keep it
		w.Set(k, tables.Encode(&filed))
		w.Set(filedByKey(*c.FromIntent, d.Account), nil)
	}
	return filed, fresh
}

// intentForget drops the marks of an intent, but for accounts on their way.
func (w *work) intentForget(c *command.IntentForget) (command.Result, error) {
	w.Delete(intentKey(tableFiled, c.Intent))
	var ids []rookery.AccountID
	w.Scan(intentKey(tableFiledBy, c.Intent), func(k, _ []byte) bool {
		ids = append(ids, rookery.AccountID(k[17:33]))
		return true
	})
	for _, id := range ids {
		if w.serves(id) {
			w.Delete(filedForKey(id, c.Intent))
			w.Delete(filedByKey(c.Intent, id))
		}
	}
	return &command.Done{}, nil
}

// followFiled keeps which accounts an intent was filed for.
func (w *work) followFiled(id rookery.AccountID, k key, _, v []byte) {
	by := filedByKey(command.IntentID(k[17:33]), id)
	if v == nil {
		w.Delete(by)
	} else {
		w.Set(by, nil)
	}
}

func checkFiled(_, v []byte) error {
	_, err := command.DecodeResult(command.TypeDeliver, v)
	return err
}

// Filed lists the intents of other groups filed here and not yet forgotten,
// behind an id.
func (m *Machine) Filed(after command.IntentID, limit int) (ids []command.IntentID, err error) {
	err = m.read(func(r state.Reader) error {
		for _, table := range []byte{tableFiled, tableFiledBy} {
			found, err := filedIn(r, table, after, limit)
			if err != nil {
				return err
			}
			ids = append(ids, found...)
		}
		return nil
	})
	slices.SortFunc(ids, func(a, b command.IntentID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	return ids[:min(len(ids), limit)], err
}

func filedIn(r state.Reader, table byte, after command.IntentID, limit int) (ids []command.IntentID, err error) {
	for len(ids) < limit {
		found := false
		err := r.Scan(intentKey(table, after).End(), newKey(table).End(), func(k, _ []byte) (bool, error) {
			after, found = command.IntentID(k[1:17]), true
			return false, nil
		})
		if err != nil || !found {
			return ids, err
		}
		ids = append(ids, after)
	}
	return ids, nil
}
