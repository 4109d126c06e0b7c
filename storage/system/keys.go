package system

import (
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var keyPart = part{
	Tables: []tables.Table{
		{ID: tableTenant, Name: "tenant key version",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(4), Check: tenantRows.Check},
		{ID: tableErasure, Name: "erasure of an account",
			Owner: tables.OfAccount, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.AtOnce,
			Key: tables.Exactly(0), Check: tables.Decodes[Erasure]},
	},
	Handlers: handlers{
		tables.On((*work).setTenantKey),
		tables.On((*work).eraseAccounts),
		tables.On((*work).accountsErased),
	},
}

var tenantRows = tables.Records[TenantKey]{Table: tableTenant, What: "tenant keys",
	Named: sized("tenant keys", 4, 4, func(x *TenantKey, k []byte) { x.Version = tables.U32At(k, 0) })}

var erasureRows = tables.Records[Erasure]{Table: tableErasure, What: "erasures",
	Named: sized("erasures", 16, 16, func(x *Erasure, k []byte) { x.Account = rookery.AccountID(k) })}

// MaxErasures bounds the accounts that are being erased.
const MaxErasures = 10_000

// TenantKey is a version of the tenant's key, as far as it may be in the state:
// the key itself lies on the nodes alone. The version a cluster began with has
// no record until it is destroyed.
type TenantKey struct {
	Version     uint32   `cbor:"-"`
	Fingerprint [16]byte `cbor:"1,keyasint"`
	// Since is when it came into use, Destroyed when it was given up, 0 before:
	// unix nanoseconds of group time.
	Since     int64 `cbor:"2,keyasint,omitempty"`
	Destroyed int64 `cbor:"3,keyasint,omitempty"`
}

// Erasure is an account that is being erased.
type Erasure struct {
	Account rookery.AccountID `cbor:"-"`
	// Since is when it began, unix nanoseconds of group time.
	Since int64 `cbor:"1,keyasint"`
	// Barred is that its group has erased it, Under the tenant key version in
	// use by then: no wrap of its key is under a later one. 0 is one without a
	// record: the version that the cluster began with.
	Barred bool   `cbor:"2,keyasint,omitempty"`
	Under  uint32 `cbor:"3,keyasint,omitempty"`
}

func tenantKey(version uint32) tables.Key {
	return tables.NewKey(tableTenant).U32(version)
}

func erasureKey(a rookery.AccountID) tables.Key { return tables.AccountKey(tableErasure, a) }

// TenantKeys lists the versions there are records of, rising.
func (m *Machine) TenantKeys() (keys []TenantKey, err error) { return list(m, tenantRows) }

// InUse is the newest version in use; the zero TenantKey before the first
// rotation.
func InUse(keys []TenantKey) (newest TenantKey) {
	for _, k := range keys {
		if k.Since > 0 {
			newest = k
		}
	}
	return newest
}

// Erasures lists the accounts that are being erased, in the order of ids.
func (m *Machine) Erasures() (all []Erasure, err error) { return list(m, erasureRows) }

// errErasing answers whoever wants an account that is being erased: the
// directory entry gets another one once that is over.
func errErasing(id rookery.AccountID) error {
	return rookery.E("find account", rookery.KindUnavailable, fmt.Errorf("account %s is being erased; see: rookery key status", id))
}

// erasing refuses an account that is being erased.
func erasing(r state.Reader, id rookery.AccountID) error {
	v, err := r.Get(erasureKey(id))
	if err == nil && v != nil {
		err = errErasing(id)
	}
	return err
}

func (w *work) setTenantKey(c *command.SetTenantKey) (command.Result, error) {
	if c.Version == 0 || c.Fingerprint == [16]byte{} && !c.Destroyed {
		return nil, refuse(rookery.KindInvalid, "a tenant key has a version and a fingerprint")
	}
	keys := tenantRows.All(&w.Change)
	now := InUse(keys)
	var have TenantKey
	for _, k := range keys {
		if k.Version == c.Version {
			have = k
		}
	}
	switch {
	case c.Destroyed && have.Destroyed > 0:
		return &command.Done{}, nil
	case c.Destroyed && c.Version >= now.Version:
		return nil, refuse(rookery.KindConflict, "tenant key version %d is in use: rotate first", c.Version)
	case c.Destroyed:
		have.Destroyed = w.Time()
	case have.Since > 0 && have.Fingerprint == c.Fingerprint:
		return &command.Done{}, nil
	case have.Since > 0 || have.Destroyed > 0 || c.Version <= now.Version:
		return nil, refuse(rookery.KindConflict, "another tenant key came into use as version %d meanwhile", max(c.Version, now.Version))
	default:
		have.Fingerprint, have.Since = c.Fingerprint, w.Time()
	}
	tenantRows.Put(&w.Change, tenantKey(c.Version), &have)
	w.keysChanged()
	return &command.Done{}, nil
}

// eraseAccounts begins with all or none of them.
func (w *work) eraseAccounts(c *command.EraseAccounts) (command.Result, error) {
	if len(c.Accounts) > command.MaxErase {
		return nil, refuse(rookery.KindLimit, "%d accounts in one command, at most %d", len(c.Accounts), command.MaxErase)
	}
	var begin []rookery.AccountID
	for _, id := range c.Accounts {
		if w.Get(accountKey(id)) == nil {
			return nil, refuse(rookery.KindNotFound, "account %s is not in the map", id)
		}
		if w.Get(erasureKey(id)) == nil {
			begin = append(begin, id)
		}
	}
	if len(begin)+len(erasureRows.All(&w.Change)) > MaxErasures {
		return nil, refuse(rookery.KindLimit, "more than %d accounts are being erased: wait until some are done", MaxErasures)
	}
	for _, id := range begin {
		erasureRows.Put(&w.Change, erasureKey(id), &Erasure{Since: w.Time()})
		w.abandonErased(id)
	}
	w.keysChanged(begin...)
	return &command.Done{}, nil
}

func (w *work) accountsErased(c *command.AccountsErased) (command.Result, error) {
	if len(c.Accounts) > command.MaxErase {
		return nil, refuse(rookery.KindLimit, "%d accounts in one command, at most %d", len(c.Accounts), command.MaxErase)
	}
	keys := tenantRows.All(&w.Change)
	for _, id := range c.Accounts {
		e, found := erasureRows.Get(&w.Change, erasureKey(id))
		if !found || e.Barred {
			continue // not found: it is over
		}
		e.Barred, e.Under = true, InUse(keys).Version
		erasureRows.Put(&w.Change, erasureKey(id), &e)
	}
	w.keysChanged()
	return &command.Done{}, nil
}

// KeyEvents is what Events may hear of besides.
type KeyEvents interface {
	// Keys says that the tenant keys or the erasures changed; the erasure of
	// the accounts named has begun.
	Keys(erasing []rookery.AccountID)
}

func (w *work) keysChanged(erasing ...rookery.AccountID) {
	if e, ok := w.m.events.(KeyEvents); ok {
		w.OnCommit(func() { e.Keys(erasing) })
	}
}
