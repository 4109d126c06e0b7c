package system

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var settingsKeyPart = part{
	Tables: []tables.Table{
		{ID: tableSettingsKey, Name: "settings key",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: settingsKeyRows.Check},
	},
	Handlers: handlers{
		tables.On((*work).setSettingsKey),
	},
}

var settingsKeyRows = tables.Records[settingsKey]{Table: tableSettingsKey, What: "settings key"}

// settingsKey is the record of the settings key in use.
type settingsKey struct {
	Version     uint32   `cbor:"1,keyasint"`
	Fingerprint [16]byte `cbor:"2,keyasint"`
	Since       int64    `cbor:"3,keyasint"`
}

// SettingsKeys is the version of the settings key in use, as TenantKeys gives
// those of the tenant's; none before the first change of it.
func (m *Machine) SettingsKeys() (keys []TenantKey, err error) {
	err = m.read(func(r state.Reader) error {
		k, found, err := settingsKeyRows.Find(r, tables.Key{tableSettingsKey})
		if found {
			keys = []TenantKey{{Version: k.Version, Fingerprint: k.Fingerprint, Since: k.Since}}
		}
		return err
	})
	return keys, err
}

func (w *work) setSettingsKey(c *command.SetSettingsKey) (command.Result, error) {
	now, _ := settingsKeyRows.Get(&w.Change, tables.Key{tableSettingsKey})
	switch {
	case c.Version == 0 || c.Fingerprint == [16]byte{}:
		return nil, refuse(rookery.KindInvalid, "a settings key has a version and a fingerprint")
	case c.Version == now.Version && c.Fingerprint == now.Fingerprint:
		return &command.Done{}, nil
	case c.Version <= now.Version:
		return nil, refuse(rookery.KindConflict, "another settings key came into use as version %d meanwhile", now.Version)
	}
	settingsKeyRows.Put(&w.Change, tables.Key{tableSettingsKey}, &settingsKey{c.Version, c.Fingerprint, w.Time()})
	w.changed()
	return &command.Done{}, nil
}
