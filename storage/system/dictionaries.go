package system

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var dictionaryPart = part{
	Tables: []tables.Table{
		{ID: tableDictionary, Name: "dictionary",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(4), Check: dictionaryRows.Check},
		{ID: tableSealed, Name: "sealed dictionary",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(4), Check: checkSealedRow},
		{ID: tableAdopted, Name: "dictionary in use",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: tables.Length(8)},
	},
	Handlers: handlers{
		tables.On((*work).addDictionary),
		tables.On((*work).adoptDictionary),
		tables.On((*work).resealDictionary),
	},
}

func checkSealedRow(_, _ []byte) error { return nil }

var dictionaryRows = tables.Records[Dictionary]{Table: tableDictionary, What: "dictionaries", Named: func(x *Dictionary, k []byte) error {
	if len(k) != 4 {
		return tables.Damaged("dictionaries")
	}
	x.ID = rookery.DictionaryID(tables.U32At(k, 0))
	return nil
}}

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
func (m *Machine) Dictionaries() (all []Dictionary, err error) { return list(m, dictionaryRows) }

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
	v, err := r.Get(tables.Key{tableAdopted})
	switch {
	case err != nil:
		return 0, 0, err
	case v == nil:
		return 0, rookery.FirstSiteDictionary - 1, nil
	case len(v) != 8:
		return 0, 0, tables.Damaged("dictionaries")
	}
	return rookery.DictionaryID(binary.BigEndian.Uint32(v)), rookery.DictionaryID(binary.BigEndian.Uint32(v[4:])), nil
}

func (w *work) setAdopted(adopted, last rookery.DictionaryID) {
	v := binary.BigEndian.AppendUint32(nil, uint32(adopted))
	w.Set(tables.Key{tableAdopted}, binary.BigEndian.AppendUint32(v, uint32(last)))
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

func dictionaryKey(table byte, id rookery.DictionaryID) tables.Key {
	return tables.NewKey(table).U32(uint32(id))
}

func (w *work) checkSealed(sealed []byte, key uint32) error {
	if len(sealed) == 0 || len(sealed) > command.MaxSealedDictionary || key == 0 {
		return refuse(rookery.KindInvalid, "a sealed dictionary has 1 to %d bytes and a tenant key version", command.MaxSealedDictionary)
	}
	keys := tenantRows.All(&w.Change)
	for _, k := range keys {
		if k.Version == key && k.Destroyed > 0 {
			return refuse(rookery.KindConflict, "tenant key version %d is destroyed", key)
		}
	}
	return nil
}

// noDictionaryUnder refuses to give up a tenant key version that a dictionary
// is sealed under.
func (w *work) noDictionaryUnder(version uint32) error {
	all := dictionaryRows.All(&w.Change)
	for _, d := range all {
		if d.Key == version {
			return refuse(rookery.KindConflict, "dictionary %d is sealed under tenant key version %d; it is sealed anew within minutes: try again", d.ID, version)
		}
	}
	return nil
}

func (w *work) addDictionary(c *command.AddDictionary) (command.Result, error) {
	if err := w.checkSealed(c.Sealed, c.Key); err != nil {
		return nil, err
	}
	adopted, last, err := readAdopted(w.Tx)
	tables.Must(err)
	if c.ID <= last || c.ID < rookery.FirstSiteDictionary {
		return nil, refuse(rookery.KindConflict, "dictionaries up to %d have been used: another was trained meanwhile", last)
	}
	all := dictionaryRows.All(&w.Change)
	if n := len(all); n > 0 && all[n-1].Adopted == 0 {
		// No node has compressed anything with it.
		w.Delete(dictionaryKey(tableDictionary, all[n-1].ID))
		w.Delete(dictionaryKey(tableSealed, all[n-1].ID))
		all = all[:n-1]
	}
	if len(all) >= MaxDictionaries {
		return nil, refuse(rookery.KindLimit, "there are %d dictionaries, at most that many, for none may go that stored mail could need", MaxDictionaries)
	}
	dictionaryRows.Put(&w.Change, dictionaryKey(tableDictionary, c.ID), &Dictionary{Key: c.Key, Size: uint32(len(c.Sealed)),
		Messages: c.Messages, Accounts: c.Accounts, Before: c.Before, After: c.After, Trained: w.Time()})
	w.Set(dictionaryKey(tableSealed, c.ID), c.Sealed)
	w.setAdopted(adopted, c.ID)
	w.dictionariesChanged()
	return &command.Done{}, nil
}

func (w *work) findDictionary(id rookery.DictionaryID) (Dictionary, error) {
	d, found := dictionaryRows.Get(&w.Change, dictionaryKey(tableDictionary, id))
	if !found {
		return d, refuse(rookery.KindNotFound, "there is no dictionary %d", id)
	}
	return d, nil
}

func (w *work) adoptDictionary(c *command.AdoptDictionary) (command.Result, error) {
	d, err := w.findDictionary(c.ID)
	if err != nil {
		return nil, err
	}
	adopted, last, err := readAdopted(w.Tx)
	tables.Must(err)
	switch {
	case adopted == c.ID:
		return &command.Done{}, nil
	case adopted > c.ID:
		return nil, refuse(rookery.KindConflict, "dictionary %d is in use already, which is newer than %d", adopted, c.ID)
	}
	nodes := nodeRows.All(&w.Change)
	for _, n := range nodes {
		if n.Member() && !slices.Contains(c.Nodes, n.ID) {
			return nil, refuse(rookery.KindConflict, "node %s has not said that it has dictionary %d", n.label(), c.ID)
		}
	}
	d.Adopted = w.Time()
	dictionaryRows.Put(&w.Change, dictionaryKey(tableDictionary, c.ID), &d)
	w.setAdopted(c.ID, last)
	w.dictionariesChanged()
	return &command.Done{}, nil
}

func (w *work) resealDictionary(c *command.ResealDictionary) (command.Result, error) {
	if err := w.checkSealed(c.Sealed, c.Key); err != nil {
		return nil, err
	}
	d, err := w.findDictionary(c.ID)
	if err != nil {
		return nil, err
	}
	switch have := sha256.Sum256(w.Get(dictionaryKey(tableSealed, c.ID))); have {
	case sha256.Sum256(c.Sealed):
		return &command.Done{}, nil
	case c.Old:
	default:
		return nil, refuse(rookery.KindConflict, "dictionary %d was sealed anew meanwhile", c.ID)
	}
	d.Key, d.Size = c.Key, uint32(len(c.Sealed))
	dictionaryRows.Put(&w.Change, dictionaryKey(tableDictionary, c.ID), &d)
	w.Set(dictionaryKey(tableSealed, c.ID), c.Sealed)
	w.dictionariesChanged()
	return &command.Done{}, nil
}

// DictionaryEvents is what Events may hear of besides.
type DictionaryEvents interface {
	// Dictionaries says that there is a new one, or another one in use.
	Dictionaries()
}

func (w *work) dictionariesChanged() {
	if e, ok := w.m.events.(DictionaryEvents); ok {
		w.OnCommit(e.Dictionaries)
	}
}
