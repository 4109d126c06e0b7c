package mailbox

import (
	"bytes"
	"encoding/binary"
	"slices"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/command"
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
		tables.On((*work).rotateAccountKey),
		tables.On((*work).rewrapMessages),
		tables.On((*work).dropAccountKey),
		tables.On((*work).barAccount),
	},
}

// Keys are an account's wrapped keys, and how far its messages are rewrapped
// under the newest.
type Keys struct {
	body.AccountKeys
	// Rewrapped is the message up to which none needs the old key any more.
	// It means nothing while there is none.
	Rewrapped rookery.EmailID
}

// keyFloorKey is the row of the group's key floor.
func keyFloorKey() key { return newKey(tableKeyFloor) }

func barredKey(a rookery.AccountID) key { return accountKey(tableBarred, a) }

// appendKeys adds to an account's record what only accounts have whose key was
// rotated.
func (a *account) appendKeys(b []byte) []byte {
	if a.Generation == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(a.Generation))
	b = appendBytes(b, a.Old)
	return append(b, a.Rewrapped[:]...)
}

func (a *account) readKeys(r *reader) {
	if len(r.b) == 0 {
		return
	}
	a.Generation = uint32(r.uvarint())
	if old := r.bytes(); len(old) > 0 {
		a.Old = old
	}
	copy(a.Rewrapped[:], r.take(16))
}

// keyFloor refuses to take wraps below it.
func (w *work) keyFloor(c *command.KeyFloor) (command.Result, error) {
	if v := w.Get(keyFloorKey()); len(v) != 4 || tables.U32At(v, 0) < c.Version {
		w.Set(keyFloorKey(), key(nil).U32(c.Version))
	}
	return &command.Done{}, nil
}

// checkFloor refuses a wrapped account key that is given up.
func (w *work) checkFloor(wrapped []byte) error {
	v := w.Get(keyFloorKey())
	if v == nil {
		return nil
	}
	if have := body.WrappedUnder(wrapped); have < tables.U32At(v, 0) {
		return refuse(rookery.KindConflict, "the account key is wrapped under tenant key version %d, which is being given up: wrap it under %d or later", have, tables.U32At(v, 0))
	}
	return nil
}

func (w *work) rewrapAccounts(c *command.RewrapAccounts) (command.Result, error) {
	if len(c.Accounts) > command.MaxRewrap {
		return nil, refuse(rookery.KindLimit, "%d accounts in one command, at most %d", len(c.Accounts), command.MaxRewrap)
	}
	for _, x := range c.Accounts {
		if len(x.New) > maxKey || body.WrappedUnder(x.New) < body.WrappedUnder(x.Old) {
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
		switch {
		case bytes.Equal(a.Key, x.Old):
			a.Key = x.New
		case len(a.Old) > 0 && bytes.Equal(a.Old, x.Old):
			a.Old = x.New
		default:
			continue
		}
		a.dirty = true
		r.Done++
	}
	return r, nil
}

func (w *work) rotateAccountKey(c *command.RotateAccountKey) (command.Result, error) {
	a, err := w.account(c.Account)
	if err != nil {
		return nil, err
	}
	if len(c.New) == 0 || len(c.New) > maxKey || bytes.Equal(c.Old, c.New) {
		return nil, refuse(rookery.KindInvalid, "the new key of account %s is none, too long or the old one", c.Account)
	}
	if err := w.checkFloor(c.New); err != nil {
		return nil, err
	}
	switch {
	case len(a.Old) > 0:
		return nil, refuse(rookery.KindConflict, "the key of account %s is being rotated already: wait until rookery key status says that it is done", c.Account)
	case !bytes.Equal(a.Key, c.Old):
		return nil, refuse(rookery.KindConflict, "account %s has another key meanwhile: try again", c.Account)
	}
	a.Key, a.Old, a.Rewrapped = c.New, a.Key, rookery.EmailID{}
	a.Generation++
	a.dirty = true
	w.keyChanged(a.ID)
	return &command.Done{}, nil
}

// rewrapMessages goes on with the walk through an account's messages. Since
// the rotation began, no message comes in under the old key: what the walk has
// passed stays rewrapped.
func (w *work) rewrapMessages(c *command.RewrapMessages) (command.Result, error) {
	a, err := w.account(c.Account)
	if err != nil {
		return nil, err
	}
	switch {
	case len(a.Old) == 0 || a.Rewrapped != c.After:
		return nil, refuse(rookery.KindConflict, "the messages of account %s are rewrapped up to another one: read them again", c.Account)
	case len(c.Keys) > command.MaxBatch || bytes.Compare(c.After[:], c.Last[:]) >= 0:
		return nil, refuse(rookery.KindInvalid, "more than %d messages, or none to go on to", command.MaxBatch)
	}
	next := make(map[rookery.EmailID][]byte, len(c.Keys))
	for _, x := range c.Keys {
		if len(x.Key) > maxKey || body.MessageKeyGeneration(x.Key) != a.Generation {
			return nil, refuse(rookery.KindInvalid, "the key of message %s is too long or not wrapped by the account's newest", x.Email)
		}
		next[x.Email] = x.Key
	}
	found, err := w.oldMessages(a, c.After, c.Last, next)
	if err != nil {
		return nil, err
	}
	for id, e := range found {
		e.key = next[id]
		w.Set(emailKey(a.ID, id), e.encode())
	}
	a.Rewrapped, a.dirty = c.Last, true
	return &command.RewrapResult{Done: uint32(len(found))}, nil
}

// oldMessages are the messages behind after up to last that the old key wraps.
// All of them must be in next.
func (w *work) oldMessages(a *openAccount, after, last rookery.EmailID, next map[rookery.EmailID][]byte) (map[rookery.EmailID]*email, error) {
	found := make(map[rookery.EmailID]*email, len(next))
	var left *rookery.EmailID
	w.Between(append(emailKey(a.ID, after), 0), append(emailKey(a.ID, last), 0), func(k, v []byte) bool {
		e, err := decodeEmail(slices.Clone(v))
		must(err)
		if body.MessageKeyGeneration(e.key) == a.Generation {
			return true
		}
		id := rookery.EmailID(k[17:])
		if found[id] = e; next[id] == nil {
			left = &id
		}
		return left == nil
	})
	if left != nil {
		return nil, refuse(rookery.KindConflict, "message %s of account %s is left out: read them again", *left, a.ID)
	}
	return found, nil
}

func (w *work) dropAccountKey(c *command.DropAccountKey) (command.Result, error) {
	a, err := w.account(c.Account)
	if err != nil {
		return nil, err
	}
	if len(a.Old) == 0 && a.Generation >= c.Generation {
		return &command.Done{}, nil
	}
	if a.Generation != c.Generation || a.Rewrapped != command.LastEmail {
		return nil, refuse(rookery.KindConflict, "account %s still has messages under the key to drop", c.Account)
	}
	a.Old, a.Rewrapped, a.dirty = nil, rookery.EmailID{}, true
	w.keyChanged(a.ID)
	return &command.Done{}, nil
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

// checkGenerations refuses a message that comes wrapped by a key its account
// gives up or has given up: filed, it could not be read. Nothing of it is
// filed then, so that the proposer may wrap it anew and send it again.
func (w *work) checkGenerations(c *command.Deliver) error {
	for i := range c.Deliveries {
		d := &c.Deliveries[i]
		a, err := w.account(d.Account)
		if err != nil {
			continue // answered for this delivery alone
		}
		if g := body.MessageKeyGeneration(d.WrappedKey); g != a.Generation {
			return refuse(rookery.KindConflict, "the message's key is wrapped by generation %d of the key of account %s, which has %d: wrap it again", g, d.Account, a.Generation)
		}
	}
	return nil
}

// KeyEvents is what Events may hear of besides.
type KeyEvents interface {
	// KeyChanged says that an account's key is another one or gone.
	KeyChanged(rookery.AccountID)
}

func (w *work) keyChanged(id rookery.AccountID) {
	if e, ok := w.m.events.(KeyEvents); ok {
		w.OnCommit(func() { e.KeyChanged(id) })
	}
}

// KeyCensus counts a group's accounts by the tenant key version that wraps
// their keys; one that is being rotated counts under the lower of its two.
type KeyCensus struct {
	Under map[uint32]int
	// Rotating counts the accounts that still have an old key.
	Rotating int
}

// KeyCensus counts as of now. An account on its way counts where its row is,
// in both groups for a moment.
func (m *Machine) KeyCensus() (c KeyCensus, err error) {
	c.Under = map[uint32]int{}
	err = m.read(func(r state.Reader) error {
		err := r.Scan(newKey(tableAccount), newKey(tableAccount).End(), func(k, v []byte) (bool, error) {
			return true, c.count(rookery.AccountID(k[1:17]), v)
		})
		if err != nil {
			return err
		}
		return r.Scan(newKey(tableMoving), newKey(tableMoving).End(), func(k, v []byte) (bool, error) {
			var rec moving
			err := tables.Decode(v, &rec)
			if err == nil && rec.Account != nil {
				err = c.count(rookery.AccountID(k[1:17]), rec.Account)
			}
			return true, err
		})
	})
	return c, err
}

func (c *KeyCensus) count(id rookery.AccountID, row []byte) error {
	a, err := decodeAccount(id, row)
	if err != nil {
		return err
	}
	under := body.WrappedUnder(a.Key)
	if len(a.Old) > 0 {
		c.Rotating++
		under = min(under, body.WrappedUnder(a.Old))
	}
	c.Under[under]++
	return nil
}

// Graves reports whether rows of deleted mailboxes or erased accounts are still
// to be removed.
func (m *Machine) Graves() (some bool, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(newKey(tableGrave), newKey(tableGrave).End(), func(_, _ []byte) (bool, error) {
			some = true
			return false, nil
		})
	})
	return some, err
}

// MessageKeys lists the wrapped keys of an account's messages behind an id, in
// the order of ids.
func (m *Machine) MessageKeys(id rookery.AccountID, after rookery.EmailID, limit int) (keys []command.EmailKey, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(append(emailKey(id, after), 0), accountKey(tableEmail, id).End(), func(k, v []byte) (bool, error) {
			if len(keys) >= limit {
				return false, nil
			}
			e, err := decodeEmail(slices.Clone(v))
			if err != nil {
				return false, err
			}
			keys = append(keys, command.EmailKey{Email: rookery.EmailID(k[17:]), Key: e.key})
			return true, nil
		})
	})
	return keys, err
}

// Keys are an account's as of now. The error is KindNotFound.
func (m *Machine) Keys(id rookery.AccountID) (Keys, error) {
	v, err := m.View(id)
	if err != nil {
		return Keys{}, err
	}
	defer v.Close()
	return v.Account().Keys, nil
}

// Owed reports whether an open intent of the group owes an account a message
// whose key is wrapped by an older generation than one.
func (m *Machine) Owed(id rookery.AccountID, generation uint32) (owed bool, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(newKey(tableIntent), newKey(tableIntent).End(), func(_, v []byte) (bool, error) {
			var rec intentRecord
			if err := tables.Decode(v, &rec); err != nil {
				return false, err
			}
			for _, g := range rec.Rest {
				for _, d := range g.Deliveries {
					owed = owed || d.Account == id && body.MessageKeyGeneration(d.WrappedKey) < generation
				}
			}
			return !owed, nil
		})
	})
	return owed, err
}
