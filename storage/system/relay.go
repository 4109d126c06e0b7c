package system

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var relayPart = part{
	Tables: []tables.Table{
		{ID: tableRelay, Name: "relay credential",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Size{Min: 1, Max: command.MaxRelayName}, Check: relayRows.Check},
	},
	Handlers: handlers{
		tables.On((*work).addRelay),
		tables.On((*work).removeRelay),
	},
}

var relayRows = tables.Records[RelayCredential]{Table: tableRelay, What: "relay credential",
	Named: sized("relay credential", 1, command.MaxRelayName, func(x *RelayCredential, k []byte) { x.Name = string(k) })}

// RelayCredential lets an application or device relay.
type RelayCredential struct {
	Name string `cbor:"-"`
	// Hash is the SHA-256 of its secret.
	Hash    [32]byte `cbor:"1,keyasint"`
	Senders []string `cbor:"2,keyasint,omitempty"`
	// Rate is how many recipients it may name in an hour; 0 is no bound.
	Rate uint32 `cbor:"3,keyasint,omitempty"`
	// Made is unix nanoseconds of group time.
	Made int64 `cbor:"4,keyasint"`
}

func relayKey(name string) tables.Key { return tables.NewKey(tableRelay).Str(name) }

// RelayCredential is the one of a name; found is false where there is none.
func (m *Machine) RelayCredential(name string) (x RelayCredential, found bool, err error) {
	if name == "" || len(name) > command.MaxRelayName {
		return x, false, nil
	}
	err = m.read(func(r state.Reader) error {
		x, found, err = relayRows.Find(r, relayKey(name))
		return err
	})
	x.Name = name
	return x, found, err
}

// RelayCredentials lists all, in the order of names.
func (m *Machine) RelayCredentials() ([]RelayCredential, error) { return list(m, relayRows) }

func (w *work) addRelay(c *command.AddRelay) (command.Result, error) {
	switch {
	case c.Name == "" || len(c.Name) > command.MaxRelayName:
		return nil, refuse(rookery.KindInvalid, "the name of a relay credential has %d bytes, want 1 to %d", len(c.Name), command.MaxRelayName)
	case len(c.Senders) > command.MaxRelaySenders:
		return nil, refuse(rookery.KindLimit, "%d senders of a relay credential, at most %d", len(c.Senders), command.MaxRelaySenders)
	case w.Has(relayKey(c.Name)):
		return nil, refuse(rookery.KindExists, "there is a relay credential %s; remove it first", c.Name)
	case len(relayRows.All(&w.Change)) >= command.MaxRelays:
		return nil, refuse(rookery.KindLimit, "there are %d relay credentials, which is the most", command.MaxRelays)
	}
	for _, s := range c.Senders {
		if len(s) > 2*maxDomain {
			return nil, refuse(rookery.KindInvalid, "the sender %.80q is too long", s)
		}
	}
	relayRows.Put(&w.Change, relayKey(c.Name), &RelayCredential{Hash: c.Hash, Senders: c.Senders, Rate: c.Rate, Made: w.Time()})
	return &command.Done{}, nil
}

func (w *work) removeRelay(c *command.RemoveRelay) (command.Result, error) {
	if c.Name == "" || len(c.Name) > command.MaxRelayName || !w.Has(relayKey(c.Name)) {
		return nil, refuse(rookery.KindNotFound, "there is no relay credential %.80q", c.Name)
	}
	w.Delete(relayKey(c.Name))
	return &command.Done{}, nil
}
