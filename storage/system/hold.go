package system

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

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

func holdKey(name string) []byte { return append([]byte{tableHold}, name...) }

func placeHold(tx state.Tx, c *command.PlaceHold) (command.Result, error) {
	h := &c.Hold
	switch {
	case h.Kind != command.HoldOperator || len(h.Name) == 0 || len(h.Name) > command.MaxHoldName || len(h.Reason) > command.MaxHoldReason:
		return nil, refuse(rookery.KindInvalid, "an operator's hold needs a name of 1 to %d bytes and a reason of at most %d", command.MaxHoldName, command.MaxHoldReason)
	case h.From < 0 || h.To < 0 || h.To > 0 && h.To < h.From:
		return nil, refuse(rookery.KindInvalid, "the hold ends before it begins")
	}
	if v := get(tx, holdKey(h.Name)); v != nil {
		var old Hold
		must(decode("hold", v, &old))
		if old.From != h.From || old.To != h.To {
			return nil, refuse(rookery.KindExists, "hold %q exists already; release it first or choose another name", h.Name)
		}
		return &command.Done{}, nil
	}
	n := 0
	must(scan(tx, tableHold, func(_, _ []byte) error { n++; return nil }))
	if n >= MaxHolds {
		return nil, refuse(rookery.KindLimit, "there are %d holds, at most that many; release some", n)
	}
	put(tx, holdKey(h.Name), &Hold{From: h.From, To: h.To, Reason: h.Reason, Placed: c.Time})
	return &command.Done{}, nil
}

func liftHold(tx state.Tx, c *command.LiftHold) (command.Result, error) {
	if len(c.Name) == 0 || len(c.Name) > command.MaxHoldName {
		return nil, refuse(rookery.KindInvalid, "a hold has a name of 1 to %d bytes", command.MaxHoldName)
	}
	must(tx.Delete(holdKey(c.Name)))
	return &command.Done{}, nil
}

// Holds lists the operators' holds by name.
func (m *Machine) Holds() (holds []Hold, err error) {
	err = m.read(func(r state.Reader) error {
		return scan(r, tableHold, func(k, v []byte) error {
			h := Hold{Name: string(k)}
			err := decode("hold", v, &h)
			holds = append(holds, h)
			return err
		})
	})
	return holds, err
}

// Sweep is what the last orphan sweep did.
type Sweep struct {
	// Time is when it ended, unix nanoseconds; 0 is that there was none.
	Time int64 `cbor:"1,keyasint"`
	// Objects were orphans that it deleted, of so many bytes.
	Objects uint64 `cbor:"2,keyasint,omitempty"`
	Bytes   int64  `cbor:"3,keyasint,omitempty"`
}

// swept keeps what the last orphan sweep did.
func swept(tx state.Tx, c *command.Swept) (command.Result, error) {
	if c.Time <= 0 || c.Bytes < 0 {
		return nil, refuse(rookery.KindInvalid, "the sweep has no time")
	}
	if v := get(tx, []byte{tableSwept}); v != nil {
		var last Sweep
		must(decode("sweep", v, &last))
		if last.Time >= c.Time {
			return &command.Done{}, nil
		}
	}
	put(tx, []byte{tableSwept}, &Sweep{c.Time, c.Objects, c.Bytes})
	return &command.Done{}, nil
}

// Swept is the last orphan sweep.
func (m *Machine) Swept() (last Sweep, err error) {
	err = m.read(func(r state.Reader) error {
		v, err := r.Get([]byte{tableSwept})
		if err == nil && v != nil {
			err = decode("sweep", v, &last)
		}
		return err
	})
	return last, err
}
