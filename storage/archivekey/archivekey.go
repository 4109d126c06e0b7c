// Package archivekey keeps the keys under which the backup's objects are sealed, each
// sealed itself under the settings key. It is a part of the system group's state
// machine.
//
// It opens no key and makes none.
package archivekey

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// tableKeys has one row: Keys.
const tableKeys byte = 0x70

// Keys are the archive's keys.
type Keys struct {
	// Version rises with every change.
	Version uint64               `cbor:"1,keyasint"`
	Keys    []command.ArchiveKey `cbor:"2,keyasint,omitempty"`
}

// Work is a command in execution in the machine that has the keys.
type Work interface {
	Get(tables.Key) []byte
	Set(tables.Key, []byte)
}

// Part declares the table and executes its command.
func Part[W Work]() tables.Part[W] {
	return tables.Part[W]{
		Tables: []tables.Table{{ID: tableKeys, Name: "keys of the archive",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: tables.Decodes[Keys]}},
		Handlers: []tables.Handler[W]{tables.On(set[W])},
	}
}

// Read gives the keys; none where there are none yet.
func Read(r state.Reader) (k Keys, err error) {
	v, err := r.Get(tables.NewKey(tableKeys))
	if err == nil && v != nil {
		err = tables.Decode(v, &k)
	}
	return k, err
}

// set replaces the keys under compare-and-set. A version that is known stays: what is
// sealed under it has to open.
func set[W Work](w W, c *command.SetArchiveKeys) (command.Result, error) {
	var now Keys
	if v := w.Get(tables.NewKey(tableKeys)); v != nil {
		tables.Must(tables.Decode(v, &now))
	}
	switch {
	case now.Version != c.Version:
		return nil, tables.Refuse(rookery.KindConflict, "the archive's keys have version %d, not %d", now.Version, c.Version)
	case len(c.Keys) == 0 || len(c.Keys) > command.MaxArchiveKeys || len(c.Keys) < len(now.Keys):
		return nil, tables.Refuse(rookery.KindInvalid, "%d keys of the archive, at least those that there are and at most %d", len(c.Keys),
			command.MaxArchiveKeys)
	}
	for i, k := range c.Keys {
		if k.Version != uint32(i+1) || k.Sealed == "" || len(k.Sealed) > command.MaxSealedKey {
			return nil, tables.Refuse(rookery.KindInvalid, "key %d of the archive is malformed", k.Version)
		}
	}
	w.Set(tables.NewKey(tableKeys), tables.Encode(&Keys{Version: now.Version + 1, Keys: c.Keys}))
	return &command.Done{}, nil
}
