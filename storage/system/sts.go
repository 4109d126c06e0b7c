package system

import (
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var stsPart = part{
	Tables: []tables.Table{
		{ID: tableSTS, Name: "MTA-STS policy of a domain",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Size{Min: 1, Max: maxDomain}, Check: stsRows.Check},
		{ID: tableSTSAge, Name: "domain by the age of its MTA-STS policy",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Size{Min: 9, Max: 8 + maxDomain}, Check: tables.Length(0)},
		{ID: tableSTSCount, Name: "number of MTA-STS policies",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: stsCounts.Check},
	},
	Handlers: handlers{
		tables.On((*work).keepSTS),
	},
}

// MaxSTS bounds the policies that are kept; past it the one that was fetched
// longest ago goes.
const MaxSTS = 50_000

// maxSTSID bounds a policy's id in bytes (RFC 8461 3.1).
const maxSTSID = 32

var stsRows = tables.Records[STS]{Table: tableSTS, What: "MTA-STS policy"}

var stsCounts = tables.Records[stsCount]{Table: tableSTSCount, What: "number of MTA-STS policies"}

type stsCount struct {
	N uint32 `cbor:"1,keyasint"`
}

// STS is the MTA-STS policy of a domain (RFC 8461), as it was fetched last.
type STS struct {
	ID   string   `cbor:"1,keyasint"`
	Mode uint8    `cbor:"2,keyasint,omitempty"`
	MX   []string `cbor:"3,keyasint,omitempty"`
	// Fetched is unix nanoseconds of group time; MaxAge says how many seconds
	// from then it counts.
	Fetched int64  `cbor:"4,keyasint"`
	MaxAge  uint32 `cbor:"5,keyasint"`
}

// Until is when the policy ends.
func (s *STS) Until() time.Time {
	return time.Unix(0, s.Fetched).Add(time.Duration(s.MaxAge) * time.Second)
}

func stsKey(domain string) tables.Key { return tables.NewKey(tableSTS).Str(domain) }

func stsAgeKey(fetched int64, domain string) tables.Key {
	return tables.NewKey(tableSTSAge).U64(uint64(fetched)).Str(domain)
}

// STS is the policy kept of a domain, which may have ended.
func (m *Machine) STS(domain string) (s STS, found bool, err error) {
	err = m.read(func(r state.Reader) error {
		s, found, err = stsRows.Find(r, stsKey(domain))
		return err
	})
	return s, found, err
}

func (w *work) keepSTS(c *command.KeepSTS) (command.Result, error) {
	names := 0
	for _, mx := range c.MX {
		names += len(mx) + 1
	}
	switch {
	case c.Domain == "" || len(c.Domain) > maxDomain || len(c.ID) > maxSTSID:
		return nil, refuse(rookery.KindInvalid, "an MTA-STS policy has a domain of 1 to %d bytes and an id of at most %d", maxDomain, maxSTSID)
	case names > command.MaxSTSNames:
		return nil, refuse(rookery.KindTooLarge, "the names of an MTA-STS policy are at most %d bytes", command.MaxSTSNames)
	}
	count, _ := stsCounts.Get(&w.Change, tables.Key{tableSTSCount})
	if old, found := stsRows.Get(&w.Change, stsKey(c.Domain)); found {
		w.Delete(stsAgeKey(old.Fetched, c.Domain))
	} else {
		count.N++
	}
	stsRows.Put(&w.Change, stsKey(c.Domain), &STS{c.ID, c.Mode, c.MX, w.Time(), c.MaxAge})
	w.Set(stsAgeKey(w.Time(), c.Domain), nil)
	if count.N > MaxSTS {
		oldest := w.Rows(tables.Key{tableSTSAge}, 1)[0].Key
		w.Delete(oldest)
		w.Delete(stsKey(string(oldest[9:])))
		count.N--
	}
	stsCounts.Put(&w.Change, tables.Key{tableSTSCount}, &count)
	return &command.Done{}, nil
}
