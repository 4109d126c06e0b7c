package system

import (
	"encoding/binary"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var accountPart = part{
	Tables: []tables.Table{
		{ID: tableAccount, Name: "place of an account",
			Owner: tables.OfAccount, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.AtOnce,
			Key: tables.Exactly(0), Check: checkAccount},
		{ID: tableKey, Name: "account of a directory entry", From: tableAccount, Key: tables.Size{Min: 1, Max: MaxDirectoryKey},
			Check: tables.Length(16 + 4)},
	},
	Handlers: handlers{
		tables.On((*work).ensureAccount),
		tables.On((*work).forgetAccount),
	},
	Follows: []tables.Follow[*work]{{Table: tableAccount, Row: (*work).followAccount}},
}

func keyKey(k string) tables.Key                { return tables.NewKey(tableKey).Str(k) }
func accountKey(a rookery.AccountID) tables.Key { return tables.AccountKey(tableAccount, a) }

func checkAccount(_, v []byte) error {
	if len(v) <= 4 {
		return tables.Damaged("account map")
	}
	return nil
}

// followAccount removes the row by which a directory entry finds its account.
func (w *work) followAccount(_ rookery.AccountID, _ tables.Key, old, _ []byte) {
	w.Delete(keyKey(string(old[4:])))
}

// Place is where an account lives.
type Place struct {
	Account rookery.AccountID
	Group   rookery.GroupID
	// DirectoryKey is the directory entry the account belongs to.
	DirectoryKey string
}

func decodePlace(v []byte) (Place, error) {
	if len(v) != 20 {
		return Place{}, tables.Damaged("account map")
	}
	return Place{Account: rookery.AccountID(v[:16]), Group: rookery.GroupID(binary.BigEndian.Uint32(v[16:]))}, nil
}

// Account is the place of an account. The error is KindNotFound, or
// KindUnavailable while the account is being erased; the place comes with that.
func (m *Machine) Account(id rookery.AccountID) (p Place, err error) {
	err = m.read(func(r state.Reader) error {
		v, err := r.Get(accountKey(id))
		switch {
		case err != nil:
			return err
		case v == nil:
			return rookery.E("find account", rookery.KindNotFound, fmt.Errorf("account %s is not in the map", id))
		case len(v) < 4:
			return tables.Damaged("account map")
		}
		p = Place{Account: id, Group: rookery.GroupID(binary.BigEndian.Uint32(v)), DirectoryKey: string(v[4:])}
		return erasing(r, id)
	})
	return p, err
}

// ByKey is the place of a directory entry's account. The error is
// KindNotFound, or KindUnavailable while the account is being erased; the place
// comes with that.
func (m *Machine) ByKey(directoryKey string) (p Place, err error) {
	err = m.read(func(r state.Reader) error {
		v, err := r.Get(keyKey(directoryKey))
		if err != nil {
			return err
		}
		if v == nil {
			return rookery.E("find account", rookery.KindNotFound, fmt.Errorf("directory entry %.200q has no account yet", directoryKey))
		}
		p, err = decodePlace(v)
		p.DirectoryKey = directoryKey
		if err == nil {
			err = erasing(r, p.Account)
		}
		return err
	})
	return p, err
}

// Accounts lists places behind an account id, in the order of ids.
func (m *Machine) Accounts(after rookery.AccountID, limit int) (places []Place, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(append(accountKey(after), 0), []byte{tableAccount + 1}, func(k, v []byte) (bool, error) {
			if len(places) >= limit {
				return false, nil
			}
			if len(k) != 17 || len(v) < 4 {
				return false, tables.Damaged("account map")
			}
			places = append(places, Place{rookery.AccountID(k[1:17]), rookery.GroupID(binary.BigEndian.Uint32(v)), string(v[4:])})
			return true, nil
		})
	})
	return places, err
}

// ensureAccount maps a directory key once, and none whose addresses another
// account's entry had.
func (w *work) ensureAccount(c *command.EnsureAccount) (command.Result, error) {
	if n := len(c.DirectoryKey); n == 0 || n > MaxDirectoryKey {
		return nil, refuse(rookery.KindInvalid, "a directory key of %d bytes, want 1 to %d", n, MaxDirectoryKey)
	}
	if v := w.Get(keyKey(c.DirectoryKey)); v != nil {
		p, err := decodePlace(v)
		tables.Must(err)
		if w.Get(erasureKey(p.Account)) != nil {
			return nil, errErasing(p.Account)
		}
		return &command.EnsureResult{Account: p.Account, Group: p.Group}, nil
	}
	if c.Account == (rookery.AccountID{}) || c.Group <= rookery.SystemGroup {
		return nil, refuse(rookery.KindInvalid, "the proposal has no account id or no mail group")
	}
	if w.Get(accountKey(c.Account)) != nil {
		return nil, refuse(rookery.KindConflict, "account %s belongs to another directory entry; propose a new id", c.Account)
	}
	owner := ownerRecord{c.Login, c.Addresses, c.DN}
	if err := owner.check(); err != nil {
		return nil, err
	}
	holders, err := holders(w.Tx, c.Addresses)
	tables.Must(err)
	if len(holders) > 0 {
		return &command.EnsureResult{Holder: holders[0]}, nil
	}
	w.place(c.Account, c.Group, c.DirectoryKey)
	w.know(c.Account, &owner)
	return &command.EnsureResult{Account: c.Account, Group: c.Group, Created: true}, nil
}

// place writes both rows of an account on the map.
func (w *work) place(a rookery.AccountID, g rookery.GroupID, directoryKey string) {
	group := binary.BigEndian.AppendUint32(nil, uint32(g))
	w.Set(keyKey(directoryKey), append(append([]byte(nil), a[:]...), group...))
	w.Set(accountKey(a), append(group, directoryKey...))
}

// forgetAccount takes an account off the map, and ends its erasure; it is
// idempotent. A move that is not decided has nothing to move any more.
func (w *work) forgetAccount(c *command.ForgetAccount) (command.Result, error) {
	w.abandonErased(c.Account)
	erasing := w.Has(erasureKey(c.Account))
	for _, t := range w.m.erased {
		for _, r := range w.Rows(tables.AccountKey(t.ID, c.Account), 1) {
			w.m.parts.Follow(w, c.Account, r.Key, r.Value, nil)
			w.Delete(r.Key)
		}
	}
	if erasing {
		w.keysChanged()
	}
	return &command.Done{}, nil
}
