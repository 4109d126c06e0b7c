package system

import (
	"encoding/binary"
	"fmt"
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

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
	v, err := r.Get([]byte{tableGate})
	switch {
	case err != nil || v == nil:
		return 0, err
	case len(v) != 4:
		return 0, damaged("version gate")
	}
	return binary.BigEndian.Uint32(v), nil
}

func gate(tx state.Tx) uint32 {
	v, err := readGate(tx)
	must(err)
	return v
}

func (m *Machine) finalizeVersion(tx state.Tx, c *command.FinalizeVersion) (command.Result, error) {
	now := gate(tx)
	switch {
	case c.Version == now:
		return &command.Done{}, nil
	case c.Version < now:
		return nil, refuse(rookery.KindConflict, "version %d is final already; it does not go back to %d", now, c.Version)
	}
	nodes, err := readNodes(tx)
	must(err)
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
		return nil, refuse(rookery.KindConflict, "not every node reads version %d: %s; upgrade or remove these first", c.Version, strings.Join(behind, ", "))
	}
	must(tx.Set([]byte{tableGate}, binary.BigEndian.AppendUint32(nil, c.Version)))
	m.changed(tx)
	return &command.Done{}, nil
}

func (n Node) label() string {
	if n.Name != "" {
		return n.Name
	}
	return string(n.ID)
}
