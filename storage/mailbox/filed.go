package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var filedPart = part{
	Tables: []tables.Table{
		{ID: tableFiledFor, Name: "delivery filed for an item",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.InTurn,
			Key: tables.Exactly(16), Check: tables.Decodes[command.Filed]},
		{ID: tableFiledBy, Name: "account by item", From: tableFiledFor, Key: tables.Exactly(16 + 16), Check: tables.Length(0)},
	},
	Handlers: handlers{
		tables.On((*work).itemForget),
	},
	Follows: []tables.Follow[*work]{{Table: tableFiledFor, Row: (*work).followFiled}},
}

// What was filed for an item of another group is kept, so that it is filed
// once however often the other group tries: in one mark for each account, which
// goes where the account goes. A mark for the command would not be enough: the
// second command of an item in a group may be for an account that has just
// come.

// deliverOnce files one delivery, unless it was filed for its item before.
func (w *work) deliverOnce(c *command.Deliver, d *command.Delivery, id BodyID) (filed command.Filed, fresh bool) {
	if c.FromItem == nil {
		return w.deliverOne(c, d, id)
	}
	k := filedForKey(d.Account, *c.FromItem)
	if v := w.Get(k); v != nil {
		must(tables.Decode(v, &filed))
		return filed, false
	}
	filed, fresh = w.deliverOne(c, d, id)
	if w.accounts[d.Account] != nil { // else there is nobody to keep it
		w.Set(k, tables.Encode(&filed))
		w.Set(filedByKey(*c.FromItem, d.Account), nil)
	}
	return filed, fresh
}

// itemForget drops the marks of an item, but for accounts on their way.
func (w *work) itemForget(c *command.ItemForget) (command.Result, error) {
	var ids []rookery.AccountID
	w.Scan(itemKey(tableFiledBy, c.Item), func(k, _ []byte) bool {
		ids = append(ids, rookery.AccountID(k[17:33]))
		return true
	})
	for _, id := range ids {
		if w.serves(id) {
			w.Delete(filedForKey(id, c.Item))
			w.Delete(filedByKey(c.Item, id))
		}
	}
	return &command.Done{}, nil
}

// followFiled keeps which accounts an item was filed for.
func (w *work) followFiled(id rookery.AccountID, k key, _, v []byte) {
	by := filedByKey(command.ItemID(k[17:33]), id)
	if v == nil {
		w.Delete(by)
	} else {
		w.Set(by, nil)
	}
}

// Filed lists the items of other groups filed here and not yet forgotten,
// behind an id.
func (m *Machine) Filed(after command.ItemID, limit int) (ids []command.ItemID, err error) {
	err = m.read(func(r state.Reader) error {
		for len(ids) < limit {
			found := false
			err := r.Scan(itemKey(tableFiledBy, after).End(), newKey(tableFiledBy).End(), func(k, _ []byte) (bool, error) {
				after, found = command.ItemID(k[1:17]), true
				return false, nil
			})
			if err != nil || !found {
				return err
			}
			ids = append(ids, after)
		}
		return nil
	})
	return ids, err
}
