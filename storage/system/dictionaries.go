package system

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

// MaxDictionaries bounds the dictionaries of a site. None that was adopted ever
// goes: bodies, restore points and backups may need it. At one retraining a
// month, each of them worth it, they last for five years and take 5 MB.
const MaxDictionaries = 64

// Dictionary is a trained dictionary's record.
type Dictionary struct {
	ID rookery.DictionaryID `cbor:"-"`
	// Key is the tenant key version that its sealed form opens with.
	Key uint32 `cbor:"1,keyasint"`
	// Size is that of the sealed form in bytes.
	Size uint32 `cbor:"2,keyasint"`
	// Messages, Accounts, Before and After are as in command.AddDictionary.
	Messages uint32 `cbor:"3,keyasint,omitempty"`
	Accounts uint32 `cbor:"4,keyasint,omitempty"`
	Before   uint32 `cbor:"5,keyasint,omitempty"`
	After    uint32 `cbor:"6,keyasint,omitempty"`
	// Trained and Adopted are unix nanoseconds of group time; Adopted is 0
	// while no mail is compressed with it.
	Trained int64 `cbor:"7,keyasint"`
	Adopted int64 `cbor:"8,keyasint,omitempty"`
}

// Dictionaries lists the dictionaries in the order of ids.
func (m *Machine) Dictionaries() (all []Dictionary, err error) {
	err = m.read(func(r state.Reader) error {
		all, err = readDictionaries(r)
		return err
	})
	return all, err
}

func readDictionaries(r state.Reader) (all []Dictionary, err error) {
	err = scan(r, tableDictionary, func(k, v []byte) error {
		if len(k) != 4 {
			return damaged("dictionaries")
		}
		d := Dictionary{ID: rookery.DictionaryID(binary.BigEndian.Uint32(k))}
		err := decode("dictionaries", v, &d)
		all = append(all, d)
		return err
	})
	return all, err
}

// AdoptedDictionary is the dictionary that new mail is compressed with, 0
// before the first; last is the highest that was ever added.
func (m *Machine) AdoptedDictionary() (adopted, last rookery.DictionaryID, err error) {
	err = m.read(func(r state.Reader) error {
		adopted, last, err = readAdopted(r)
		return err
	})
	return adopted, last, err
}

func readAdopted(r state.Reader) (adopted, last rookery.DictionaryID, err error) {
	v, err := r.Get([]byte{tableAdopted})
	switch {
	case err != nil:
		return 0, 0, err
	case v == nil:
		return 0, rookery.FirstSiteDictionary - 1, nil
	case len(v) != 8:
		return 0, 0, damaged("dictionaries")
	}
	return rookery.DictionaryID(binary.BigEndian.Uint32(v)), rookery.DictionaryID(binary.BigEndian.Uint32(v[4:])), nil
}

func setAdopted(tx state.Tx, adopted, last rookery.DictionaryID) {
	v := binary.BigEndian.AppendUint32(nil, uint32(adopted))
	must(tx.Set([]byte{tableAdopted}, binary.BigEndian.AppendUint32(v, uint32(last))))
}

// SealedDictionary is a dictionary under the tenant key. The error is
// KindNotFound.
func (m *Machine) SealedDictionary(id rookery.DictionaryID) (sealed []byte, err error) {
	err = m.read(func(r state.Reader) error {
		sealed, err = r.Get(dictionaryKey(tableSealed, id))
		if err == nil && sealed == nil {
			err = rookery.E("find dictionary", rookery.KindNotFound, fmt.Errorf("there is no dictionary %d", id))
		}
		return err
	})
	return sealed, err
}

func dictionaryKey(table byte, id rookery.DictionaryID) []byte {
	return binary.BigEndian.AppendUint32([]byte{table}, uint32(id))
}

func checkSealed(tx state.Tx, sealed []byte, key uint32) error {
	if len(sealed) == 0 || len(sealed) > command.MaxSealedDictionary || key == 0 {
		return refuse(rookery.KindInvalid, "a sealed dictionary has 1 to %d bytes and a tenant key version", command.MaxSealedDictionary)
	}
	keys, err := readTenantKeys(tx)
	must(err)
	for _, k := range keys {
		if k.Version == key && k.Destroyed > 0 {
			return refuse(rookery.KindConflict, "tenant key version %d is destroyed", key)
		}
	}
	return nil
}

// noDictionaryUnder refuses to give up a tenant key version that a dictionary
// is sealed under.
func noDictionaryUnder(tx state.Tx, version uint32) error {
	all, err := readDictionaries(tx)
	must(err)
	for _, d := range all {
		if d.Key == version {
			return refuse(rookery.KindConflict, "dictionary %d is sealed under tenant key version %d; it is sealed anew within minutes: try again", d.ID, version)
		}
	}
	return nil
}

func (m *Machine) addDictionary(tx state.Tx, c *command.AddDictionary) (command.Result, error) {
	if err := checkSealed(tx, c.Sealed, c.Key); err != nil {
		return nil, err
	}
	adopted, last, err := readAdopted(tx)
	must(err)
	if c.ID <= last || c.ID < rookery.FirstSiteDictionary {
		return nil, refuse(rookery.KindConflict, "dictionaries up to %d have been used: another was trained meanwhile", last)
	}
	all, err := readDictionaries(tx)
	must(err)
	if n := len(all); n > 0 && all[n-1].Adopted == 0 {
		// No node has compressed anything with it.
		must(tx.Delete(dictionaryKey(tableDictionary, all[n-1].ID)))
		must(tx.Delete(dictionaryKey(tableSealed, all[n-1].ID)))
		all = all[:n-1]
	}
	if len(all) >= MaxDictionaries {
		return nil, refuse(rookery.KindLimit, "there are %d dictionaries, at most that many, for none may go that stored mail could need", MaxDictionaries)
	}
	put(tx, dictionaryKey(tableDictionary, c.ID), &Dictionary{Key: c.Key, Size: uint32(len(c.Sealed)),
		Messages: c.Messages, Accounts: c.Accounts, Before: c.Before, After: c.After, Trained: tx.Time()})
	must(tx.Set(dictionaryKey(tableSealed, c.ID), c.Sealed))
	setAdopted(tx, adopted, c.ID)
	m.dictionariesChanged(tx)
	return &command.Done{}, nil
}

func findDictionary(tx state.Tx, id rookery.DictionaryID) (d Dictionary, err error) {
	v := get(tx, dictionaryKey(tableDictionary, id))
	if v == nil {
		return d, refuse(rookery.KindNotFound, "there is no dictionary %d", id)
	}
	d.ID = id
	must(decode("dictionaries", v, &d))
	return d, nil
}

func (m *Machine) adoptDictionary(tx state.Tx, c *command.AdoptDictionary) (command.Result, error) {
	d, err := findDictionary(tx, c.ID)
	if err != nil {
		return nil, err
	}
	adopted, last, err := readAdopted(tx)
	must(err)
	switch {
	case adopted == c.ID:
		return &command.Done{}, nil
	case adopted > c.ID:
		return nil, refuse(rookery.KindConflict, "dictionary %d is in use already, which is newer than %d", adopted, c.ID)
	}
	nodes, err := readNodes(tx)
	must(err)
	for _, n := range nodes {
		if n.Member() && !slices.Contains(c.Nodes, n.ID) {
			return nil, refuse(rookery.KindConflict, "node %s has not said that it has dictionary %d", n.label(), c.ID)
		}
	}
	d.Adopted = tx.Time()
	put(tx, dictionaryKey(tableDictionary, c.ID), &d)
	setAdopted(tx, c.ID, last)
	m.dictionariesChanged(tx)
	return &command.Done{}, nil
}

func (m *Machine) resealDictionary(tx state.Tx, c *command.ResealDictionary) (command.Result, error) {
	if err := checkSealed(tx, c.Sealed, c.Key); err != nil {
		return nil, err
	}
	d, err := findDictionary(tx, c.ID)
	if err != nil {
		return nil, err
	}
	switch have := sha256.Sum256(get(tx, dictionaryKey(tableSealed, c.ID))); have {
	case sha256.Sum256(c.Sealed):
		return &command.Done{}, nil
	case c.Old:
	default:
		return nil, refuse(rookery.KindConflict, "dictionary %d was sealed anew meanwhile", c.ID)
	}
	d.Key, d.Size = c.Key, uint32(len(c.Sealed))
	put(tx, dictionaryKey(tableDictionary, c.ID), &d)
	must(tx.Set(dictionaryKey(tableSealed, c.ID), c.Sealed))
	m.dictionariesChanged(tx)
	return &command.Done{}, nil
}

// DictionaryEvents is what Events may hear of besides.
type DictionaryEvents interface {
	// Dictionaries says that there is a new one, or another one in use.
	Dictionaries()
}

func (m *Machine) dictionariesChanged(tx state.Tx) {
	if e, ok := m.events.(DictionaryEvents); ok {
		tx.OnCommit(e.Dictionaries)
	}
}
