package mailbox

import (
	"bytes"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/queue"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var keyPart = part{
	Tables: []tables.Table{
		{ID: tableKeyFloor, Name: "lowest tenant key version",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: tables.Length(4)},
		{ID: tableBarred, Name: "account erased for ever",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(16), Check: tables.Length(0)},
	},
	Handlers: handlers{
		tables.On((*work).keyFloor),
		tables.On((*work).rewrapAccounts),
		tables.On((*work).barAccount),
	},
}

// keyFloorKey is the row of the group's key floor.
func keyFloorKey() key { return newKey(tableKeyFloor) }

func barredKey(a rookery.AccountID) key { return accountKey(tableBarred, a) }

// keyFloor refuses to take wraps below it.
func (w *work) keyFloor(c *command.KeyFloor) (command.Result, error) {
	if v := w.Get(keyFloorKey()); len(v) != 4 || tables.U32At(v, 0) < c.Version {
		w.Set(keyFloorKey(), key(nil).U32(c.Version))
	}
	return &command.Done{}, nil
}

// checkFloor refuses a key wrapped under a tenant key that is given up.
func (w *work) checkFloor(wrapped []byte) error {
	v := w.Get(keyFloorKey())
	if v == nil {
		return nil
	}
	if have := keys.WrappedUnder(wrapped); have < tables.U32At(v, 0) {
		return refuse(rookery.KindConflict, "the key is wrapped under tenant key version %d, which is being given up: wrap it "+
			"under %d or later", have, tables.U32At(v, 0))
	}
	return nil
}

func (w *work) rewrapAccounts(c *command.RewrapAccounts) (command.Result, error) {
	if len(c.Accounts) > command.MaxRewrap {
		return nil, refuse(rookery.KindLimit, "%d accounts in one command, at most %d", len(c.Accounts), command.MaxRewrap)
	}
	for _, x := range c.Accounts {
		if len(x.New) > maxKey || keys.WrappedUnder(x.New) < keys.WrappedUnder(x.Old) {
			return nil, refuse(rookery.KindInvalid, "the new wrap of account %s is too long or under an older tenant key", x.Account)
		}
		if err := w.checkFloor(x.New); err != nil {
			return nil, err
		}
	}
	r := &command.RewrapResult{}
	for _, x := range c.Accounts {
		a, err := w.account(x.Account)
		if err != nil {
			continue // went meanwhile
		}
		if bytes.Equal(a.Key, x.Old) {
			a.Key, a.dirty = x.New, true
			r.Done++
		}
	}
	return r, nil
}

// barAccount erases an account, and keeps its id from ever coming back.
func (w *work) barAccount(c *command.BarAccount) (command.Result, error) {
	if w.Get(accountKey(tableAccount, c.Account)) == nil {
		if err := missing(w.Tx, c.Account); rookery.Is(err, rookery.KindMoved) {
			return nil, err // it is barred where it is
		}
	}
	w.Set(barredKey(c.Account), nil)
	w.keyChanged(c.Account)
	return w.eraseAccount(&command.EraseAccount{Account: c.Account})
}

// KeyEvents is what Events may hear of besides.
type KeyEvents interface {
	// KeyChanged says that an account's key is gone.
	KeyChanged(rookery.AccountID)
}

func (w *work) keyChanged(id rookery.AccountID) {
	if e, ok := w.m.events.(KeyEvents); ok {
		w.OnCommit(func() { e.KeyChanged(id) })
	}
}

// KeyCensus counts a group's accounts, and its days, by the tenant key version that
// wraps their keys.
type KeyCensus struct {
	Under map[uint32]int // accounts
	Days  map[uint32]int
}

// KeyCensus counts as of now. An account on its way counts where its row is,
// in both groups for a moment.
func (m *Machine) KeyCensus() (c KeyCensus, err error) {
	c.Under, c.Days = map[uint32]int{}, map[uint32]int{}
	err = m.read(func(r state.Reader) error {
		err := r.Scan(newKey(tableAccount), newKey(tableAccount).End(), func(k, v []byte) (bool, error) {
			return true, c.count(rookery.AccountID(k[1:17]), v)
		})
		if err != nil {
			return err
		}
		err = r.Scan(newKey(tableMoving), newKey(tableMoving).End(), func(k, v []byte) (bool, error) {
			var rec moving
			err := tables.Decode(v, &rec)
			if err == nil && rec.Account != nil {
				err = c.count(rookery.AccountID(k[1:17]), rec.Account)
			}
			return true, err
		})
		if err != nil {
			return err
		}
		days, err := queue.Days(r)
		for _, d := range days {
			c.Days[keys.WrappedUnder(d.Key)]++
		}
		return err
	})
	return c, err
}

func (c *KeyCensus) count(id rookery.AccountID, row []byte) error {
	a, err := decodeAccount(id, row)
	if err != nil {
		return err
	}
	c.Under[keys.WrappedUnder(a.Key)]++
	return nil
}
