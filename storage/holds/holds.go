// Package holds is what keeps dead packs: holds of operators, restore points and
// pins, and the restore window. It is a part of the mail group's state machine, with
// one rule, which the machine itself applies: a pack is deleted only where nothing
// meets its life, from the arrival of its oldest body to its death, both included.
//
// It knows no pack, no body and no account, and deletes nothing.
package holds

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// The tables, in a range of their own beside those of package mailbox.
const (
	tableHold      byte = 0x30 // kind name: interval
	tablePackRules byte = 0x31 // one row: window, life of names
)

// Work is a command in execution in the machine that has the holds.
type Work interface {
	Get(tables.Key) []byte
	Set(tables.Key, []byte)
	Delete(tables.Key)
	Scan(k tables.Key, fn func(k, v []byte) (more bool))
	Time() int64
}

// Part declares the tables of holds and executes their commands.
func Part[W Work]() tables.Part[W] {
	own := func(t tables.Table) tables.Table {
		t.Owner, t.Travels, t.Archived = tables.OfGroup, tables.Stays, tables.InArchive
		t.Restored, t.Erased = tables.Newest, tables.Kept
		return t
	}
	return tables.Part[W]{
		Tables: []tables.Table{
			own(tables.Table{ID: tableHold, Name: "hold", Key: tables.Size{Min: 1 + 1, Max: 1 + command.MaxHoldName},
				Check: tables.Decodes[holdRecord]}),
			own(tables.Table{ID: tablePackRules, Name: "rules for packs", Key: tables.Exactly(0), Check: tables.Decodes[Rules]}),
		},
		Handlers: []tables.Handler[W]{tables.On(place[W]), tables.On(release[W]), tables.On(restoreWindow[W]), tables.On(namePacks[W])},
	}
}

// MaxHolds bounds the holds of a group, of all kinds together.
const MaxHolds = 1000

// Bounds of the life of pack names, nanoseconds.
const (
	minNameLife = int64(60e9) // a minute: less than a slow upload takes refuses everything
	maxNameLife = int64(30 * 24 * 3600e9)
)

// Life is a pack's: when its oldest body arrived and when it died, group time in unix
// nanoseconds; Dead is 0 while it lives.
type Life struct{ Arrived, Dead int64 }

// Hold is what keeps dead packs.
type Hold struct {
	Kind command.HoldKind
	Name string
	// From and To are the interval, see command.Hold; Placed is when, all unix
	// nanoseconds of group time.
	From, To, Placed int64
	Reason           string
}

// covers reports whether the hold keeps a dead pack. What is not understood
// keeps everything.
func (h *Hold) covers(l Life) bool {
	if h.Kind < command.HoldOperator || h.Kind > command.HoldPin || l.Dead == 0 {
		return true
	}
	return h.From <= l.Dead && (h.To == 0 || h.To >= l.Arrived)
}

type holdRecord struct {
	From   int64  `cbor:"1,keyasint,omitempty"`
	To     int64  `cbor:"2,keyasint,omitempty"`
	Reason string `cbor:"3,keyasint,omitempty"`
	Placed int64  `cbor:"4,keyasint,omitempty"`
}

// Rules are what the group has agreed on about packs, in nanoseconds of
// group time; 0 is that there is no such rule yet.
type Rules struct {
	// Window is for how long dead packs stay.
	Window int64 `cbor:"1,keyasint,omitempty"`
	// NameLife is how long a pack's name is good for.
	NameLife int64 `cbor:"2,keyasint,omitempty"`
}

// Expired reports whether a pack of this name can never be added any more.
// Names without a time never expire: nobody may delete what they name.
func (r *Rules) Expired(id command.PackID, now int64) bool {
	t, ok := id.Time()
	return ok && r.NameLife > 0 && now-t > r.NameLife
}

func holdKey(kind command.HoldKind, name string) tables.Key {
	return append(tables.NewKey(tableHold), byte(kind)).Str(name)
}

func decodeHold(k, v []byte) (Hold, error) {
	var r holdRecord
	err := tables.Decode(v, &r)
	return Hold{command.HoldKind(k[1]), string(k[2:]), r.From, r.To, r.Placed, r.Reason}, err
}

func place[W Work](w W, c *command.Hold) (command.Result, error) {
	switch {
	case c.Kind < command.HoldOperator || c.Kind > command.HoldPin:
		return nil, tables.Refuse(rookery.KindInvalid, "hold kind %d is unknown", c.Kind)
	case len(c.Name) == 0 || len(c.Name) > command.MaxHoldName || len(c.Reason) > command.MaxHoldReason:
		return nil, tables.Refuse(rookery.KindInvalid, "a hold needs a name of 1 to %d bytes and a reason of at most %d",
			command.MaxHoldName, command.MaxHoldReason)
	case c.From < 0 || c.To < 0 || c.To > 0 && c.To < c.From:
		return nil, tables.Refuse(rookery.KindInvalid, "the hold ends before it begins")
	}
	k := holdKey(c.Kind, c.Name)
	if v := w.Get(k); v != nil {
		h, err := decodeHold(k, v)
		tables.Must(err)
		if h.From != c.From || h.To != c.To {
			return nil, tables.Refuse(rookery.KindExists, "%s %q exists already with another interval", c.Kind, c.Name)
		}
		return &command.Done{}, nil
	}
	n := 0
	w.Scan(tables.NewKey(tableHold), func(_, _ []byte) bool { n++; return true })
	if n >= MaxHolds {
		return nil, tables.Refuse(rookery.KindLimit, "the group has %d holds, at most that many; release some", n)
	}
	w.Set(k, tables.Encode(&holdRecord{c.From, c.To, c.Reason, w.Time()}))
	return &command.Done{}, nil
}

func release[W Work](w W, c *command.Release) (command.Result, error) {
	if len(c.Name) == 0 || len(c.Name) > command.MaxHoldName {
		return nil, tables.Refuse(rookery.KindInvalid, "a hold has a name of 1 to %d bytes", command.MaxHoldName)
	}
	w.Delete(holdKey(c.Kind, c.Name))
	return &command.Done{}, nil
}

func restoreWindow[W Work](w W, c *command.RestoreWindow) (command.Result, error) {
	if c.Span < 0 {
		return nil, tables.Refuse(rookery.KindInvalid, "a restore window of %d ns", c.Span)
	}
	r := RulesOf(w)
	r.Window = c.Span
	setRules(w, r)
	return &command.Done{}, nil
}

func namePacks[W Work](w W, c *command.NamePacks) (command.Result, error) {
	if c.Life < minNameLife || c.Life > maxNameLife {
		return nil, tables.Refuse(rookery.KindInvalid, "pack names that are good for %d ns; %d to %d are possible",
			c.Life, minNameLife, maxNameLife)
	}
	r := RulesOf(w)
	if r.NameLife == 0 { // once: what has expired must not be good again
		r.NameLife = c.Life
		setRules(w, r)
	}
	return &command.Done{}, nil
}

// RulesOf are the rules in force within a command.
func RulesOf(w Work) (r Rules) {
	if v := w.Get(tables.NewKey(tablePackRules)); v != nil {
		tables.Must(tables.Decode(v, &r))
	}
	return r
}

func setRules(w Work, r Rules) { w.Set(tables.NewKey(tablePackRules), tables.Encode(&r)) }

// ReadRules are the rules in force.
func ReadRules(r state.Reader) (rules Rules, err error) {
	v, err := r.Get(tables.NewKey(tablePackRules))
	if err == nil && v != nil {
		err = tables.Decode(v, &rules)
	}
	return rules, err
}

// Keeper says what keeps a dead pack of such a life at a time; "" is nothing.
func Keeper(r state.Reader, l Life, now int64) (why string, err error) {
	rules, err := ReadRules(r)
	if err != nil {
		return "", err
	}
	if rules.Window > 0 && now-l.Dead < rules.Window {
		return "the restore window", nil
	}
	err = r.Scan(tables.NewKey(tableHold), tables.NewKey(tableHold).End(), func(k, v []byte) (bool, error) {
		h, err := decodeHold(k, v)
		if err == nil && h.covers(l) {
			why = h.Kind.String() + " " + h.Name
		}
		return why == "", err
	})
	return why, err
}

// List lists what keeps packs, by kind and name.
func List(r state.Reader) (all []Hold, err error) {
	err = r.Scan(tables.NewKey(tableHold), tables.NewKey(tableHold).End(), func(k, v []byte) (bool, error) {
		h, err := decodeHold(k, v)
		all = append(all, h)
		return true, err
	})
	return all, err
}
