package system

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

var signingPart = part{
	Tables: []tables.Table{
		{ID: tableSigning, Name: "DKIM keys of a domain",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Size{Min: 1, Max: maxDomain}, Check: signingRows.Check},
	},
	Handlers: handlers{
		tables.On((*work).setSigningKeys),
	},
}

// MaxSigningDomains bounds the domains that have DKIM keys.
const MaxSigningDomains = 10_000

// maxDomain bounds a domain in bytes (RFC 5321 4.5.3.1.2).
const maxDomain = 255

var signingRows = tables.Records[SigningKeys]{Table: tableSigning, What: "DKIM keys",
	Named: sized("DKIM keys", 1, maxDomain, func(x *SigningKeys, k []byte) { x.Domain = string(k) })}

// SigningKeys are the DKIM keys of a domain.
type SigningKeys struct {
	Domain string `cbor:"-"`
	// Version rises with every change.
	Version uint64               `cbor:"1,keyasint"`
	Keys    []command.SigningKey `cbor:"2,keyasint,omitempty"`
}

// SigningKeys lists those of all domains that have some, in the order of domains.
func (m *Machine) SigningKeys() (all []SigningKeys, err error) { return list(m, signingRows) }

// SigningEvents is what Events may hear of besides.
type SigningEvents interface {
	// SigningKeys says that DKIM keys of a domain changed.
	SigningKeys()
}

// setSigningKeys replaces a domain's keys under compare-and-set.
func (w *work) setSigningKeys(c *command.SetSigningKeys) (command.Result, error) {
	if err := checkSigningKeys(c); err != nil {
		return nil, err
	}
	k := tables.NewKey(tableSigning).Str(c.Domain)
	now, found := signingRows.Get(&w.Change, k)
	switch {
	case now.Version != c.Version:
		return nil, refuse(rookery.KindConflict, "the DKIM keys of %s have version %d, not %d", c.Domain, now.Version, c.Version)
	case !found && len(signingRows.All(&w.Change)) >= MaxSigningDomains:
		return nil, refuse(rookery.KindLimit, "more than %d domains have DKIM keys", MaxSigningDomains)
	}
	signingRows.Put(&w.Change, k, &SigningKeys{Version: c.Version + 1, Keys: c.Keys})
	w.OnCommit(w.m.signingChanged)
	return &command.Done{}, nil
}

func (m *Machine) signingChanged() {
	if e, ok := m.events.(SigningEvents); ok {
		e.SigningKeys()
	}
}

func checkSigningKeys(c *command.SetSigningKeys) error {
	switch {
	case c.Domain == "" || len(c.Domain) > maxDomain:
		return refuse(rookery.KindInvalid, "a domain of %d bytes, want 1 to %d", len(c.Domain), maxDomain)
	case len(c.Keys) > command.MaxSigningKeys:
		return refuse(rookery.KindLimit, "%d DKIM keys of one domain, at most %d", len(c.Keys), command.MaxSigningKeys)
	}
	seen := map[string]bool{}
	for _, k := range c.Keys {
		switch {
		case k.Selector == "" || len(k.Selector) > command.MaxSelector || seen[k.Selector]:
			return refuse(rookery.KindInvalid, "the selector %.80q is empty, too long or given twice", k.Selector)
		case k.Record == "" || len(k.Record) > command.MaxSigningRecord || k.Sealed == "" || len(k.Sealed) > command.MaxSealedKey:
			return refuse(rookery.KindInvalid, "the DKIM key %s has no record or no private key, or one that is too long", k.Selector)
		}
		seen[k.Selector] = true
	}
	return nil
}
