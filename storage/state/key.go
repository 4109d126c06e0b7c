package state

import (
	"encoding/binary"
	"fmt"

	"rookery"
)

// Tables of this package. Bytes below FirstTable are its own; a machine's
// keys begin with FirstTable or above.
const (
	tableApplied       = 0x00 // one row: version, index, term, group time
	tableConfiguration = 0x01 // one row: index, Raft configuration
	tableRetries       = 0x02 // node, slot -> epoch, seq, low, result

	// TableVerdict has what became of the entries that are not yet archived:
	// index -> group time, outcome. TableArchived has one row while a group is
	// archived: the last index that the archive has.
	TableVerdict  = 0x03
	TableArchived = 0x04

	// FirstTable is the lowest first byte of a machine's key.
	FirstTable = 0x10
)

// prefixLen is the group in front of every key.
const prefixLen = 4

func groupPrefix(id rookery.GroupID) [prefixLen]byte {
	var p [prefixLen]byte
	binary.BigEndian.PutUint32(p[:], uint32(id))
	return p
}

// groupEnd is the first key after the group's.
func groupEnd(id rookery.GroupID) []byte {
	if id == ^rookery.GroupID(0) {
		return []byte{0xff, 0xff, 0xff, 0xff, 0xff} // no key has table 0xff
	}
	p := groupPrefix(id + 1)
	return p[:]
}

// checkKey refuses keys outside a machine's tables; such a key is a bug in
// the machine.
func checkKey(key []byte) error {
	if len(key) == 0 || key[0] < FirstTable || key[0] == 0xff {
		return rookery.E("use state key", rookery.KindInvalid,
			fmt.Errorf("key %x is outside the machine's tables 0x%x to 0xfe", key, FirstTable))
	}
	return nil
}
