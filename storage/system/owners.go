package system

import (
	"slices"
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var ownerPart = part{
	Tables: []tables.Table{
		{ID: tableOwner, Name: "last known owner of an account",
			Owner: tables.OfAccount, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.AtOnce,
			Key: tables.Exactly(0), Check: tables.Decodes[ownerRecord]},
		{ID: tableAddress, Name: "account whose owner has an address", From: tableOwner,
			Key: tables.Size{Min: 1 + 1 + 16, Max: rookery.MaxOwnerName + 1 + 16}, Check: tables.Length(0)},
	},
	Handlers: handlers{
		tables.On((*work).noteOwner),
		tables.On((*work).linkAccount),
	},
	Follows: []tables.Follow[*work]{{Table: tableOwner, Row: (*work).followOwner}},
}

var ownerRows = tables.Records[ownerRecord]{Table: tableOwner, What: "owner of an account"}

// ownerRecord is what is known of the entry an account belongs to; its key is
// in the account map.
type ownerRecord struct {
	Login     string   `cbor:"1,keyasint,omitempty"`
	Addresses []string `cbor:"2,keyasint,omitempty"`
	DN        string   `cbor:"3,keyasint,omitempty"`
}

func ownerKey(a rookery.AccountID) tables.Key { return tables.AccountKey(tableOwner, a) }

// addressKey begins the rows of an address: no address has a NUL.
func addressKey(address string) tables.Key {
	return append(tables.NewKey(tableAddress).Str(address), 0)
}

func (o *ownerRecord) check() error {
	if len(o.Login) > rookery.MaxOwnerName || len(o.Addresses) > rookery.MaxOwnerAddresses {
		return refuse(rookery.KindInvalid, "a login of %d bytes and %d addresses, at most %d and %d",
			len(o.Login), len(o.Addresses), rookery.MaxOwnerName, rookery.MaxOwnerAddresses)
	}
	if len(o.DN) > rookery.MaxOwnerDN {
		return refuse(rookery.KindInvalid, "a distinguished name of %d bytes, at most %d", len(o.DN), rookery.MaxOwnerDN)
	}
	for i, a := range o.Addresses {
		if len(a) == 0 || len(a) > rookery.MaxOwnerName || strings.Contains(a, "\x00") || slices.Contains(o.Addresses[:i], a) {
			return refuse(rookery.KindInvalid, "%.80q is given twice, or is not an address of at most %d bytes", a, rookery.MaxOwnerName)
		}
	}
	return nil
}

// know replaces what is known of an account's owner, nil: nothing.
func (w *work) know(id rookery.AccountID, now *ownerRecord) {
	old := w.Get(ownerKey(id))
	if now == nil || now.Login == "" && now.DN == "" && len(now.Addresses) == 0 {
		w.followOwner(id, ownerKey(id), old, nil)
		w.Delete(ownerKey(id))
		return
	}
	row := tables.Encode(now)
	if string(row) == string(old) {
		return
	}
	w.followOwner(id, ownerKey(id), old, row)
	w.Set(ownerKey(id), row)
}

// followOwner keeps the rows by which an address finds accounts.
func (w *work) followOwner(id rookery.AccountID, _ tables.Key, old, now []byte) {
	for _, a := range addressesIn(old) {
		w.Delete(addressKey(a).Account(id))
	}
	for _, a := range addressesIn(now) {
		w.Set(addressKey(a).Account(id), nil)
	}
}

func addressesIn(row []byte) []string {
	var o ownerRecord
	if row != nil {
		tables.Must(tables.Decode(row, &o))
	}
	return o.Addresses
}

// holders are the accounts whose owners have one of the addresses, each once.
func holders(r state.Reader, addresses []string) (all []rookery.AccountID, err error) {
	for _, a := range addresses {
		k := addressKey(a)
		err = r.Scan(k, k.End(), func(k, _ []byte) (bool, error) {
			if id := rookery.AccountID(k[len(k)-16:]); !slices.Contains(all, id) {
				all = append(all, id)
			}
			return true, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Holders lists the accounts whose entries had one of the addresses
// (rookery.Owner's) when they were last seen, each once.
func (m *Machine) Holders(addresses []string) (all []rookery.AccountID, err error) {
	err = m.read(func(r state.Reader) error {
		all, err = holders(r, addresses)
		return err
	})
	return all, err
}

// Owner is what was last known of the entry an account belongs to. The errors
// are Account's; the owner comes with KindUnavailable.
func (m *Machine) Owner(id rookery.AccountID) (rookery.Owner, error) {
	p, err := m.Account(id)
	if err != nil && !rookery.Is(err, rookery.KindUnavailable) {
		return rookery.Owner{}, err
	}
	o := rookery.Owner{Key: p.DirectoryKey}
	rerr := m.read(func(r state.Reader) error {
		rec, _, err := ownerRows.Find(r, ownerKey(id))
		o.Login, o.Addresses, o.DN = rec.Login, rec.Addresses, rec.DN
		return err
	})
	if rerr != nil {
		return rookery.Owner{}, rerr
	}
	return o, err
}

func (w *work) noteOwner(c *command.NoteOwner) (command.Result, error) {
	owner := ownerRecord{c.Login, c.Addresses, c.DN}
	if err := owner.check(); err != nil {
		return nil, err
	}
	v := w.Get(accountKey(c.Account))
	switch {
	case v == nil:
		return nil, refuse(rookery.KindNotFound, "account %s is not in the map", c.Account)
	case string(v[4:]) != c.DirectoryKey:
		return nil, refuse(rookery.KindConflict, "account %s belongs to directory entry %.200q by now", c.Account, v[4:])
	}
	w.know(c.Account, &owner)
	return &command.Done{}, nil
}

// linkAccount binds an entry to an account. An account that the entry had
// before goes to the account's former entry.
func (w *work) linkAccount(c *command.LinkAccount) (command.Result, error) {
	owner := ownerRecord{c.Login, c.Addresses, c.DN}
	if err := owner.check(); err != nil {
		return nil, err
	}
	if n := len(c.DirectoryKey); n == 0 || n > MaxDirectoryKey {
		return nil, refuse(rookery.KindInvalid, "a directory key of %d bytes, want 1 to %d", n, MaxDirectoryKey)
	}
	v := w.Get(accountKey(c.Account))
	switch {
	case v == nil:
		return nil, refuse(rookery.KindNotFound, "account %s is not in the map", c.Account)
	case w.Has(erasureKey(c.Account)):
		return nil, errErasing(c.Account)
	}
	former, group := string(v[4:]), rookery.GroupID(tables.U32At(v, 0))
	if former == c.DirectoryKey {
		w.know(c.Account, &owner)
		return &command.Done{}, nil
	}
	if had := w.Get(keyKey(c.DirectoryKey)); had != nil {
		p, err := decodePlace(had)
		tables.Must(err)
		switch {
		case p.Account != c.Other:
			return nil, refuse(rookery.KindExists, "directory entry %.200q has account %s already", c.DirectoryKey, p.Account)
		case w.Has(erasureKey(p.Account)):
			return nil, errErasing(p.Account)
		}
		w.place(p.Account, p.Group, former)
		w.know(p.Account, nil)
	} else {
		w.Delete(keyKey(former))
	}
	w.place(c.Account, group, c.DirectoryKey)
	w.know(c.Account, &owner)
	w.OnCommit(w.m.linked)
	return &command.Done{}, nil
}

// LinkEvents is what Events may hear of besides.
type LinkEvents interface {
	// Linked says that accounts may belong to other directory entries than
	// before.
	Linked()
}

func (m *Machine) linked() {
	if e, ok := m.events.(LinkEvents); ok {
		e.Linked()
	}
}
