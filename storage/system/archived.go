package system

import (
	"rookery/storage/archivekey"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var archivePart = part{Handlers: handlers{
	tables.On((*work).archived),
}}

func (w *work) archived(c *command.Archived) (command.Result, error) { return w.Change.Archived(c) }

// ArchiveKeys are the sealed keys of the backup.
func (m *Machine) ArchiveKeys() (k archivekey.Keys, err error) {
	err = m.read(func(r state.Reader) error {
		k, err = archivekey.Read(r)
		return err
	})
	return k, err
}
