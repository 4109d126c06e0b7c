package system

import (
	"encoding/binary"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

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

func tenantKey(version uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{tableTenant}, version)
}

func erasureKey(a rookery.AccountID) []byte { return append([]byte{tableErasure}, a[:]...) }

// TenantKeys lists the versions there are records of, rising.
func (m *Machine) TenantKeys() (keys []TenantKey, err error) {
	err = m.read(func(r state.Reader) error {
		keys, err = readTenantKeys(r)
		return err
	})
	return keys, err
}

func readTenantKeys(r state.Reader) (keys []TenantKey, err error) {
	err = scan(r, tableTenant, func(k, v []byte) error {
		if len(k) != 4 {
			return damaged("tenant keys")
		}
		t := TenantKey{Version: binary.BigEndian.Uint32(k)}
		err := decode("tenant keys", v, &t)
		keys = append(keys, t)
		return err
	})
	return keys, err
}

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
func (m *Machine) Erasures() (all []Erasure, err error) {
	err = m.read(func(r state.Reader) error {
		return scan(r, tableErasure, func(k, v []byte) error {
			if len(k) != 16 {
				return damaged("erasures")
			}
			e := Erasure{Account: rookery.AccountID(k)}
			err := decode("erasures", v, &e)
			all = append(all, e)
			return err
		})
	})
	return all, err
}

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

func (m *Machine) setTenantKey(tx state.Tx, c *command.SetTenantKey) (command.Result, error) {
	if c.Version == 0 || c.Fingerprint == [16]byte{} && !c.Destroyed {
		return nil, refuse(rookery.KindInvalid, "a tenant key has a version and a fingerprint")
	}
	keys, err := readTenantKeys(tx)
	must(err)
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
		if err := noDictionaryUnder(tx, c.Version); err != nil {
			return nil, err
		}
		have.Destroyed = tx.Time()
	case have.Since > 0 && have.Fingerprint == c.Fingerprint:
		return &command.Done{}, nil
	case have.Since > 0 || have.Destroyed > 0 || c.Version <= now.Version:
		return nil, refuse(rookery.KindConflict, "another tenant key came into use as version %d meanwhile", max(c.Version, now.Version))
	default:
		have.Fingerprint, have.Since = c.Fingerprint, tx.Time()
	}
	put(tx, tenantKey(c.Version), &have)
	m.keysChanged(tx)
	return &command.Done{}, nil
}

// eraseAccounts begins with all or none of them.
func (m *Machine) eraseAccounts(tx state.Tx, c *command.EraseAccounts) (command.Result, error) {
	if len(c.Accounts) > command.MaxErase {
		return nil, refuse(rookery.KindLimit, "%d accounts in one command, at most %d", len(c.Accounts), command.MaxErase)
	}
	var begin []rookery.AccountID
	for _, id := range c.Accounts {
		if get(tx, accountKey(id)) == nil {
			return nil, refuse(rookery.KindNotFound, "account %s is not in the map", id)
		}
		if get(tx, erasureKey(id)) == nil {
			begin = append(begin, id)
		}
	}
	count := len(begin)
	must(scan(tx, tableErasure, func(_, _ []byte) error { count++; return nil }))
	if count > MaxErasures {
		return nil, refuse(rookery.KindLimit, "more than %d accounts are being erased: wait until some are done", MaxErasures)
	}
	for _, id := range begin {
		put(tx, erasureKey(id), &Erasure{Since: tx.Time()})
		m.abandonErased(tx, id)
	}
	m.keysChanged(tx, begin...)
	return &command.Done{}, nil
}

func (m *Machine) accountsErased(tx state.Tx, c *command.AccountsErased) (command.Result, error) {
	if len(c.Accounts) > command.MaxErase {
		return nil, refuse(rookery.KindLimit, "%d accounts in one command, at most %d", len(c.Accounts), command.MaxErase)
	}
	keys, err := readTenantKeys(tx)
	must(err)
	for _, id := range c.Accounts {
		v := get(tx, erasureKey(id))
		if v == nil {
			continue // it is over
		}
		var e Erasure
		must(decode("erasures", v, &e))
		if e.Barred {
			continue
		}
		e.Barred, e.Under = true, InUse(keys).Version
		put(tx, erasureKey(id), &e)
	}
	m.keysChanged(tx)
	return &command.Done{}, nil
}

// KeyEvents is what Events may hear of besides.
type KeyEvents interface {
	// Keys says that the tenant keys or the erasures changed; the erasure of
	// the accounts named has begun.
	Keys(erasing []rookery.AccountID)
}

func (m *Machine) keysChanged(tx state.Tx, erasing ...rookery.AccountID) {
	if e, ok := m.events.(KeyEvents); ok {
		tx.OnCommit(func() { e.Keys(erasing) })
	}
}
