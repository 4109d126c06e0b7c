package system

import (
	"encoding/binary"
	"fmt"

	"rookery"
	"rookery/storage/state"
)

// Place is where an account lives.
type Place struct {
	Account rookery.AccountID
	Group   rookery.GroupID
	// DirectoryKey is the directory entry the account belongs to.
	DirectoryKey string
}

func decodePlace(v []byte) (Place, error) {
	if len(v) != 20 {
		return Place{}, damaged("account map")
	}
	return Place{Account: rookery.AccountID(v[:16]), Group: rookery.GroupID(binary.BigEndian.Uint32(v[16:]))}, nil
}

func (m *Machine) read(fn func(state.Reader) error) error {
	s := m.group.Read()
	defer s.Close()
	return fn(s)
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
			return damaged("account map")
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
				return false, damaged("account map")
			}
			places = append(places, Place{rookery.AccountID(k[1:17]), rookery.GroupID(binary.BigEndian.Uint32(v)), string(v[4:])})
			return true, nil
		})
	})
	return places, err
}

// Settings is the settings document and its version; 0 and nil before the
// first.
func (m *Machine) Settings() (version uint64, document []byte, err error) {
	err = m.read(func(r state.Reader) error {
		v, err := r.Get([]byte{tableSettings})
		if err != nil || v == nil {
			return err
		}
		if len(v) < 8 {
			return damaged("settings")
		}
		version, document = binary.BigEndian.Uint64(v), v[8:]
		return nil
	})
	return version, document, err
}
