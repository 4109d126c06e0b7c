package mailbox

import (
	"bytes"
	"encoding/binary"
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// The reads of the group's housekeeping: packing, the queue,
// retention. Each call is one consistent view; lists are pages.

// read runs fn on a view of the group.
func (m *Machine) read(fn func(state.Reader) error) error {
	s := m.group.Read()
	defer s.Close()
	return fn(s)
}

// Body is a body of the group. The error is KindNotFound.
func (m *Machine) Body(id BodyID) (b Body, err error) {
	err = m.read(func(r state.Reader) error {
		b, err = readBody(r, id)
		return err
	})
	return b, err
}

// Bodies lists all bodies of the group in the order of their ids, from an id on.
func (m *Machine) Bodies(from BodyID, limit int) (bodies []Body, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(bodyKey(tableBody, from), newKey(tableBody).End(), func(k, v []byte) (bool, error) {
			if len(bodies) >= limit {
				return false, nil
			}
			x, err := decodeBody(BodyID(tables.U64At(k, 1)), bytes.Clone(v))
			if err == nil {
				bodies = append(bodies, x.Body)
			}
			return true, err
		})
	})
	return bodies, err
}

// Unpacked lists bodies that lie in no pack, oldest first, from an id on.
func (m *Machine) Unpacked(from BodyID, limit int) (bodies []Body, err error) {
	err = m.read(func(r state.Reader) error {
		var ids []BodyID
		err := r.Scan(bodyKey(tableUnpacked, from), newKey(tableUnpacked).End(), func(k, _ []byte) (bool, error) {
			if len(ids) >= limit {
				return false, nil
			}
			ids = append(ids, BodyID(tables.U64At(k, 1)))
			return true, nil
		})
		for _, id := range ids {
			b, err := readBody(r, id)
			if err != nil {
				return err
			}
			bodies = append(bodies, b)
		}
		return err
	})
	return bodies, err
}

// UnpackedBytes sums what waits to be packed.
func (m *Machine) UnpackedBytes() (bodies int, bytes int64, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(newKey(tableUnpacked), newKey(tableUnpacked).End(), func(_, v []byte) (bool, error) {
			n, _ := binary.Uvarint(v)
			bodies++
			bytes += int64(n)
			return true, nil
		})
	})
	return bodies, bytes, err
}

// OldestUnpacked is the lowest log index still needed: the first entry of an
// unpacked body or of an open stage. It is 0 where nothing is needed.
func (m *Machine) OldestUnpacked() (oldest rookery.LogIndex, err error) {
	err = m.read(func(r state.Reader) error {
		for _, table := range []byte{tableUnpacked, tableFloor} {
			err := r.Scan(newKey(table), newKey(table).End(), func(k, _ []byte) (bool, error) {
				if i := rookery.LogIndex(tables.U64At(k, 1)); oldest == 0 || i < oldest {
					oldest = i
				}
				return false, nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return oldest, err
}

// Pack is one pack's record. The error is KindNotFound.
func (m *Machine) Pack(id command.PackID) (p Pack, err error) {
	err = m.read(func(r state.Reader) error {
		v, err := r.Get(packKey(id))
		if err == nil && v == nil {
			err = notFound("pack %.128q does not exist", id)
		}
		if err != nil {
			return err
		}
		p.ID = id
		return tables.Decode(v, &p)
	})
	return p, err
}

// Packs lists packs behind an id, in the order of their ids.
func (m *Machine) Packs(after command.PackID, limit int) (packs []Pack, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(append(packKey(after), 0), newKey(tablePack).End(), func(k, v []byte) (bool, error) {
			if len(packs) >= limit {
				return false, nil
			}
			p := Pack{ID: command.PackID(k[1:])}
			err := tables.Decode(v, &p)
			packs = append(packs, p)
			return true, err
		})
	})
	return packs, err
}

// Staged is an open stage.
type Staged struct {
	ID    command.StageID
	Parts uint32
	Bytes int64
	First rookery.LogIndex
}

// Stages lists the open stages.
func (m *Machine) Stages() (stages []Staged, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(newKey(tableStage), newKey(tableStage).End(), func(k, v []byte) (bool, error) {
			var rec stage
			if err := tables.Decode(v, &rec); err != nil {
				return false, err
			}
			n := 5 + int(tables.U32At(k, 1))
			id := command.StageID{Node: rookery.NodeID(k[5:n]), Epoch: tables.U64At(k, n), N: tables.U64At(k, n+8)}
			stages = append(stages, Staged{id, rec.Parts, rec.Bytes, rec.First})
			return true, nil
		})
	})
	return stages, err
}

// Accounts lists the group's accounts behind an id, in the order of ids.
func (m *Machine) Accounts(after rookery.AccountID, limit int) (accounts []Account, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(append(accountKey(tableAccount, after), 0), newKey(tableAccount).End(), func(k, v []byte) (bool, error) {
			if len(accounts) >= limit {
				return false, nil
			}
			a, err := decodeAccount(rookery.AccountID(k[1:17]), slices.Clone(v))
			if err != nil {
				return false, err
			}
			accounts = append(accounts, a.Account)
			return true, nil
		})
	})
	return accounts, err
}
