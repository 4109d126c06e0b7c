package system

import (
	"encoding/binary"
	"fmt"
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var gatePart = part{
	Tables: []tables.Table{
		{ID: tableGate, Name: "version gate",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: tables.Length(4)},
	},
	Handlers: handlers{
		tables.On((*work).finalizeVersion),
	},
}

// Gate is the highest command version that may be proposed: every member
// reads it. It is 0 until the first FinalizeVersion.
func (m *Machine) Gate() (version uint32, err error) {
	err = m.read(func(r state.Reader) error {
		version, err = readGate(r)
		return err
	})
	return version, err
}

func readGate(r state.Reader) (uint32, error) {
	v, err := r.Get(tables.Key{tableGate})
	switch {
	case err != nil || v == nil:
		return 0, err
	case len(v) != 4:
		return 0, tables.Damaged("version gate")
	}
	return binary.BigEndian.Uint32(v), nil
}

func (w *work) gate() uint32 {
	v, err := readGate(w.Tx)
	tables.Must(err)
	return v
}

func (w *work) finalizeVersion(c *command.FinalizeVersion) (command.Result, error) {
	now := w.gate()
	switch {
	case c.Version == now:
		return &command.Done{}, nil
	case c.Version < now:
		return nil, refuse(rookery.KindConflict, "version %d is final already; it does not go back to %d", now, c.Version)
	}
	nodes := nodeRows.All(&w.Change)
	var behind []string
	count := 0
	for _, n := range nodes {
		if !n.Member() {
			continue
		}
		count++
		if n.Version < c.Version {
			behind = append(behind, fmt.Sprintf("%s (version %d)", n.label(), n.Version))
		}
	}
	switch {
	case count == 0:
		return nil, refuse(rookery.KindConflict, "no node is registered yet")
	case len(behind) > 5:
		behind = append(behind[:5], fmt.Sprintf("and %d more", len(behind)-5))
	}
	if len(behind) > 0 {
		return nil, refuse(rookery.KindConflict, "not every node reads version %d: %s; upgrade or remove these first", c.Version,
			strings.Join(behind, ", "))
	}
	w.Set(tables.Key{tableGate}, binary.BigEndian.AppendUint32(nil, c.Version))
	w.changed()
	return &command.Done{}, nil
}

func (n Node) label() string {
	if n.Name != "" {
		return n.Name
	}
	return string(n.ID)
}
