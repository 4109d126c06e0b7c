package system

import (
	"encoding/binary"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var settingsPart = part{
	Tables: []tables.Table{
		{ID: tableSettings, Name: "settings",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: checkSettings},
	},
	Handlers: handlers{
		tables.On((*work).setSettings),
	},
}

func checkSettings(_, v []byte) error {
	if len(v) < 8 {
		return tables.Damaged("settings")
	}
	return nil
}

// Settings is the settings document and its version; 0 and nil before the
// first.
func (m *Machine) Settings() (version uint64, document []byte, err error) {
	err = m.read(func(r state.Reader) error {
		v, err := r.Get(tables.Key{tableSettings})
		if err != nil || v == nil {
			return err
		}
		if len(v) < 8 {
			return tables.Damaged("settings")
		}
		version, document = binary.BigEndian.Uint64(v), v[8:]
		return nil
	})
	return version, document, err
}

// setSettings replaces the document under compare-and-set.
func (w *work) setSettings(c *command.SetSettings) (command.Result, error) {
	if len(c.Document) > MaxSettings {
		return nil, refuse(rookery.KindTooLarge, "settings of %d bytes, at most %d", len(c.Document), MaxSettings)
	}
	var version uint64
	if v := w.Get(tables.Key{tableSettings}); len(v) >= 8 {
		version = binary.BigEndian.Uint64(v)
	}
	if version != c.Version {
		return nil, refuse(rookery.KindConflict, "the settings have version %d, not %d; read them again and repeat the change",
			version, c.Version)
	}
	version++
	w.Set(tables.Key{tableSettings}, append(binary.BigEndian.AppendUint64(nil, version), c.Document...))
	if events := w.m.events; events != nil {
		w.OnCommit(func() { events.Settings(version) })
	}
	return &command.SettingsResult{Version: version}, nil
}
