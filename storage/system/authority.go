package system

import (
	"bytes"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var authorityPart = part{
	Tables: []tables.Table{
		{ID: tableAuthority, Name: "certificate authority",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(4), Check: authorityRows.Check},
		{ID: tableKit, Name: "recovery kit",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: kitRows.Check},
	},
	Handlers: handlers{
		tables.On((*work).setAuthority),
		tables.On((*work).noteKit),
	},
}

var authorityRows = tables.Records[Authority]{Table: tableAuthority, What: "certificate authorities",
	Named: sized("certificate authorities", 4, 4, func(x *Authority, k []byte) { x.Version = tables.U32At(k, 0) })}

var kitRows = tables.Records[Kit]{Table: tableKit, What: "recovery kit"}

// Authority is a certificate authority of the cluster. The one that a cluster
// began with has no record before the first change.
type Authority struct {
	Version     uint32                 `cbor:"-"`
	Fingerprint [16]byte               `cbor:"1,keyasint"`
	Certificate []byte                 `cbor:"2,keyasint"` // DER
	State       command.AuthorityState `cbor:"3,keyasint"`
	// Began is when it was made known, Since when it came into use, Dropped when
	// it was given up, 0 before: unix nanoseconds of group time.
	Began   int64 `cbor:"4,keyasint"`
	Since   int64 `cbor:"5,keyasint,omitempty"`
	Dropped int64 `cbor:"6,keyasint,omitempty"`
}

// Kit is which keys the newest recovery kit has that is known: versions, 0
// where none was noted.
type Kit struct {
	Tenant    uint32 `cbor:"1,keyasint"`
	Settings  uint32 `cbor:"2,keyasint"`
	Authority uint32 `cbor:"3,keyasint"`
	// Made is when it was written, unix seconds.
	Made int64 `cbor:"4,keyasint"`
	// Public and Alone are those of command.NoteKit.
	Public []byte `cbor:"5,keyasint,omitempty"`
	Alone  bool   `cbor:"6,keyasint,omitempty"`
}

// Authorities lists those there are records of, rising.
func (m *Machine) Authorities() ([]Authority, error) { return list(m, authorityRows) }

// AuthorityKeys are the keys of those that came into use, as TenantKeys gives
// those of the tenant's.
func (m *Machine) AuthorityKeys() (keys []TenantKey, err error) {
	all, err := m.Authorities()
	for _, a := range all {
		if a.Since > 0 {
			keys = append(keys, TenantKey{Version: a.Version, Fingerprint: a.Fingerprint, Since: a.Since, Destroyed: a.Dropped})
		}
	}
	return keys, err
}

// Kit is the newest recovery kit that is known; the zero Kit where none is.
func (m *Machine) Kit() (k Kit, err error) {
	err = m.read(func(r state.Reader) error {
		k, _, err = kitRows.Find(r, tables.Key{tableKit})
		return err
	})
	return k, err
}

func authorityKey(version uint32) tables.Key { return tables.NewKey(tableAuthority).U32(version) }

func (w *work) setAuthority(c *command.SetAuthority) (command.Result, error) {
	if c.Version == 0 || c.Fingerprint == [16]byte{} || len(c.Certificate) == 0 || len(c.Certificate) > command.MaxAuthority ||
		c.State < command.AuthorityTrusted || c.State > command.AuthorityDropped {
		return nil, refuse(rookery.KindInvalid, "an authority has a version, a fingerprint, a certificate of at most %d bytes and a state",
			command.MaxAuthority)
	}
	a, known := authorityRows.Get(&w.Change, authorityKey(c.Version))
	if known {
		if a.Fingerprint != c.Fingerprint || !bytes.Equal(a.Certificate, c.Certificate) {
			return nil, refuse(rookery.KindConflict, "version %d is another authority", c.Version)
		}
		if a.State == c.State {
			return &command.Done{}, nil
		}
	}
	if err := w.mayBecome(c, a.State); err != nil {
		return nil, err
	}
	now := w.Time()
	a.Fingerprint, a.Certificate, a.State = c.Fingerprint, c.Certificate, c.State
	switch c.State {
	case command.AuthorityInUse:
		a.Since = now
	case command.AuthorityDropped:
		a.Dropped = now
	}
	if !known {
		a.Began = now
	}
	authorityRows.Put(&w.Change, authorityKey(c.Version), &a)
	w.changed()
	return &command.Done{}, nil
}

// mayBecome refuses steps that leave one out.
func (w *work) mayBecome(c *command.SetAuthority, was command.AuthorityState) error {
	all := authorityRows.All(&w.Change)
	later := false // one above it is in use
	for _, a := range all {
		later = later || a.Version > c.Version && a.State == command.AuthorityInUse
		if was == 0 && (a.State == command.AuthorityTrusted || a.Version >= c.Version) {
			return refuse(rookery.KindConflict, "a change of the authority to version %d is under way or over", a.Version)
		}
	}
	switch {
	case was == 0 && len(all) == 0 && c.State == command.AuthorityInUse, // the one that the cluster began with
		was == 0 && len(all) > 0 && c.State == command.AuthorityTrusted,
		was == command.AuthorityTrusted && c.State == command.AuthorityInUse,
		was == command.AuthorityInUse && c.State == command.AuthorityDropped && later:
		return nil
	}
	return refuse(rookery.KindConflict, "authority %d is in state %d and cannot go to %d now", c.Version, was, c.State)
}

func (w *work) noteKit(c *command.NoteKit) (command.Result, error) {
	k, _ := kitRows.Get(&w.Change, tables.Key{tableKit})
	if c.Tenant < k.Tenant || c.Settings < k.Settings || c.Authority < k.Authority || c.Made < k.Made {
		return &command.Done{}, nil
	}
	if len(c.Public) > command.MaxKitKey {
		return nil, refuse(rookery.KindInvalid, "the public half of a kit's keys has %d bytes, at most %d", len(c.Public), command.MaxKitKey)
	}
	kitRows.Put(&w.Change, tables.Key{tableKit}, &Kit{c.Tenant, c.Settings, c.Authority, c.Made, c.Public, c.Alone})
	return &command.Done{}, nil
}
