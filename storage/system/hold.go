package system

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var holdPart = part{
	Tables: []tables.Table{
		{ID: tableHold, Name: "hold",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Size{Min: 1, Max: command.MaxHoldName}, Check: holdRows.Check},
		{ID: tableSwept, Name: "last orphan sweep",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: sweepRows.Check},
	},
	Handlers: handlers{
		tables.On((*work).placeHold),
		tables.On((*work).liftHold),
		tables.On((*work).swept),
	},
}

var holdRows = tables.Records[Hold]{Table: tableHold, What: "hold", Named: func(x *Hold, k []byte) error {
	x.Name = string(k)
	return nil
}}

var sweepRows = tables.Records[Sweep]{Table: tableSwept, What: "sweep"}

// MaxHolds bounds the operators' holds.
const MaxHolds = 500

// Hold is an operator's hold on the whole cluster.
type Hold struct {
	Name string `cbor:"-"`
	// From and To are the interval, To 0 without an end; Placed is when it was
	// placed. Unix nanoseconds.
	From   int64  `cbor:"1,keyasint,omitempty"`
	To     int64  `cbor:"2,keyasint,omitempty"`
	Reason string `cbor:"3,keyasint,omitempty"`
	Placed int64  `cbor:"4,keyasint,omitempty"`
}

func holdKey(name string) tables.Key { return tables.NewKey(tableHold).Str(name) }

func (w *work) placeHold(c *command.PlaceHold) (command.Result, error) {
	h := &c.Hold
	switch {
	case h.Kind != command.HoldOperator || len(h.Name) == 0 || len(h.Name) > command.MaxHoldName || len(h.Reason) > command.MaxHoldReason:
		return nil, refuse(rookery.KindInvalid, "an operator's hold needs a name of 1 to %d bytes and a reason of at most %d",
			command.MaxHoldName, command.MaxHoldReason)
	case h.From < 0 || h.To < 0 || h.To > 0 && h.To < h.From:
		return nil, refuse(rookery.KindInvalid, "the hold ends before it begins")
	}
	if old, found := holdRows.Get(&w.Change, holdKey(h.Name)); found {
		if old.From != h.From || old.To != h.To {
			return nil, refuse(rookery.KindExists, "hold %q exists already; release it first or choose another name", h.Name)
		}
		return &command.Done{}, nil
	}
	if n := len(holdRows.All(&w.Change)); n >= MaxHolds {
		return nil, refuse(rookery.KindLimit, "there are %d holds, at most that many; release some", n)
	}
	holdRows.Put(&w.Change, holdKey(h.Name), &Hold{From: h.From, To: h.To, Reason: h.Reason, Placed: c.Time})
	return &command.Done{}, nil
}

func (w *work) liftHold(c *command.LiftHold) (command.Result, error) {
	if len(c.Name) == 0 || len(c.Name) > command.MaxHoldName {
		return nil, refuse(rookery.KindInvalid, "a hold has a name of 1 to %d bytes", command.MaxHoldName)
	}
	w.Delete(holdKey(c.Name))
	return &command.Done{}, nil
}

// Holds lists the operators' holds by name.
func (m *Machine) Holds() (holds []Hold, err error) { return list(m, holdRows) }

// Sweep is what the last orphan sweep did.
type Sweep struct {
	// Time is when it ended, unix nanoseconds; 0 is that there was none.
	Time int64 `cbor:"1,keyasint"`
	// Objects were orphans that it deleted, of so many bytes.
	Objects uint64 `cbor:"2,keyasint,omitempty"`
	Bytes   int64  `cbor:"3,keyasint,omitempty"`
}

// swept keeps what the last orphan sweep did.
func (w *work) swept(c *command.Swept) (command.Result, error) {
	if c.Time <= 0 || c.Bytes < 0 {
		return nil, refuse(rookery.KindInvalid, "the sweep has no time")
	}
	if last, _ := sweepRows.Get(&w.Change, tables.Key{tableSwept}); last.Time >= c.Time {
		return &command.Done{}, nil
	}
	sweepRows.Put(&w.Change, tables.Key{tableSwept}, &Sweep{c.Time, c.Objects, c.Bytes})
	return &command.Done{}, nil
}

// Swept is the last orphan sweep.
func (m *Machine) Swept() (last Sweep, err error) {
	err = m.read(func(r state.Reader) error {
		last, _, err = sweepRows.Find(r, tables.Key{tableSwept})
		return err
	})
	return last, err
}
