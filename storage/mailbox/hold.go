package mailbox

import (
	"errors"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var holdPart = part{
	Tables: []tables.Table{
		{ID: tableHold, Name: "hold",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Size{Min: 1 + 1, Max: 1 + command.MaxHoldName}, Check: tables.Decodes[holdRecord]},
		{ID: tablePackRules, Name: "rules for packs",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: tables.Decodes[PackRules]},
	},
	Handlers: handlers{
		tables.On((*work).hold),
		tables.On((*work).release),
		tables.On((*work).restoreWindow),
		tables.On((*work).namePacks),
	},
}

// What keeps dead packs: holds of operators, restore points and pins, and the
// restore window. One rule, applied by the machine itself: a pack is deleted only
// where nothing meets its life, from the arrival of its oldest body to its death, both
// included.

// MaxHolds bounds the holds of a group, of all kinds together.
const MaxHolds = 1000

var errNoNames = errors.New("the group has not agreed yet on how long a pack's name is good for; its leader sees to it within " +
	"minutes: try again")

// Bounds of the life of pack names, nanoseconds.
const (
	minNameLife = int64(60e9) // a minute: less than a slow upload takes refuses everything
	maxNameLife = int64(30 * 24 * 3600e9)
)

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
func (h *Hold) covers(p *Pack) bool {
	if h.Kind < command.HoldOperator || h.Kind > command.HoldPin || p.Dead == 0 {
		return true
	}
	return h.From <= p.Dead && (h.To == 0 || h.To >= p.Arrived)
}

type holdRecord struct {
	From   int64  `cbor:"1,keyasint,omitempty"`
	To     int64  `cbor:"2,keyasint,omitempty"`
	Reason string `cbor:"3,keyasint,omitempty"`
	Placed int64  `cbor:"4,keyasint,omitempty"`
}

// PackRules are what the group has agreed on about packs, in nanoseconds of
// group time; 0 is that there is no such rule yet.
type PackRules struct {
	// Window is for how long dead packs stay.
	Window int64 `cbor:"1,keyasint,omitempty"`
	// NameLife is how long a pack's name is good for.
	NameLife int64 `cbor:"2,keyasint,omitempty"`
}

// expired reports whether a pack of this name can never be added any more.
// Names without a time never expire: nobody may delete what they name.
func (r *PackRules) expired(id command.PackID, now int64) bool {
	t, ok := id.Time()
	return ok && r.NameLife > 0 && now-t > r.NameLife
}

func holdKey(kind command.HoldKind, name string) key {
	return append(newKey(tableHold), byte(kind)).Str(name)
}

func decodeHold(k, v []byte) (Hold, error) {
	var r holdRecord
	err := tables.Decode(v, &r)
	return Hold{command.HoldKind(k[1]), string(k[2:]), r.From, r.To, r.Placed, r.Reason}, err
}

func (w *work) hold(c *command.Hold) (command.Result, error) {
	switch {
	case c.Kind < command.HoldOperator || c.Kind > command.HoldPin:
		return nil, refuse(rookery.KindInvalid, "hold kind %d is unknown", c.Kind)
	case len(c.Name) == 0 || len(c.Name) > command.MaxHoldName || len(c.Reason) > command.MaxHoldReason:
		return nil, refuse(rookery.KindInvalid, "a hold needs a name of 1 to %d bytes and a reason of at most %d",
			command.MaxHoldName, command.MaxHoldReason)
	case c.From < 0 || c.To < 0 || c.To > 0 && c.To < c.From:
		return nil, refuse(rookery.KindInvalid, "the hold ends before it begins")
	}
	k := holdKey(c.Kind, c.Name)
	if v := w.Get(k); v != nil {
		h, err := decodeHold(k, v)
		must(err)
		if h.From != c.From || h.To != c.To {
			return nil, refuse(rookery.KindExists, "%s %q exists already with another interval", c.Kind, c.Name)
		}
		return &command.Done{}, nil
	}
	n := 0
	w.Scan(newKey(tableHold), func(_, _ []byte) bool { n++; return true })
	if n >= MaxHolds {
		return nil, refuse(rookery.KindLimit, "the group has %d holds, at most that many; release some", n)
	}
	w.Set(k, tables.Encode(&holdRecord{c.From, c.To, c.Reason, w.Time()}))
	return &command.Done{}, nil
}

func (w *work) release(c *command.Release) (command.Result, error) {
	if len(c.Name) == 0 || len(c.Name) > command.MaxHoldName {
		return nil, refuse(rookery.KindInvalid, "a hold has a name of 1 to %d bytes", command.MaxHoldName)
	}
	w.Delete(holdKey(c.Kind, c.Name))
	return &command.Done{}, nil
}

func (w *work) restoreWindow(c *command.RestoreWindow) (command.Result, error) {
	if c.Span < 0 {
		return nil, refuse(rookery.KindInvalid, "a restore window of %d ns", c.Span)
	}
	r := w.packRules()
	r.Window = c.Span
	w.setPackRules(r)
	return &command.Done{}, nil
}

func (w *work) namePacks(c *command.NamePacks) (command.Result, error) {
	if c.Life < minNameLife || c.Life > maxNameLife {
		return nil, refuse(rookery.KindInvalid, "pack names that are good for %d ns; %d to %d are possible", c.Life, minNameLife, maxNameLife)
	}
	r := w.packRules()
	if r.NameLife == 0 { // once: what has expired must not be good again
		r.NameLife = c.Life
		w.setPackRules(r)
	}
	return &command.Done{}, nil
}

func (w *work) packRules() *PackRules {
	r, err := readPackRules(w.Tx)
	must(err)
	return &r
}

func (w *work) setPackRules(r *PackRules) { w.Set(newKey(tablePackRules), tables.Encode(r)) }

func readPackRules(r state.Reader) (rules PackRules, err error) {
	v, err := r.Get(newKey(tablePackRules))
	if err == nil && v != nil {
		err = tables.Decode(v, &rules)
	}
	return rules, err
}

// keeper says what keeps a dead pack at a time; "" is nothing.
func keeper(r state.Reader, p *Pack, now int64) (why string, err error) {
	rules, err := readPackRules(r)
	if err != nil {
		return "", err
	}
	if rules.Window > 0 && now-p.Dead < rules.Window {
		return "the restore window", nil
	}
	err = r.Scan(newKey(tableHold), newKey(tableHold).End(), func(k, v []byte) (bool, error) {
		h, err := decodeHold(k, v)
		if err == nil && h.covers(p) {
			why = h.Kind.String() + " " + h.Name
		}
		return why == "", err
	})
	return why, err
}

// Holds lists what keeps the group's packs, by kind and name.
func (m *Machine) Holds() (holds []Hold, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(newKey(tableHold), newKey(tableHold).End(), func(k, v []byte) (bool, error) {
			h, err := decodeHold(k, v)
			holds = append(holds, h)
			return true, err
		})
	})
	return holds, err
}

// PackRules are those in force.
func (m *Machine) PackRules() (rules PackRules, err error) {
	err = m.read(func(r state.Reader) error {
		rules, err = readPackRules(r)
		return err
	})
	return rules, err
}

// Keeper says what keeps a dead pack at a time, unix nanoseconds; "" is that
// PackDeleted will be agreed on, unless group time is behind. An error keeps it
// too.
func (m *Machine) Keeper(p Pack, now int64) (why string, err error) {
	err = m.read(func(r state.Reader) error {
		why, err = keeper(r, &p, now)
		return err
	})
	return why, err
}

// Time is group time, unix nanoseconds.
func (m *Machine) Time() int64 { return m.group.Time() }

// Strangers are those of the ids that no pack of the group has and none can
// ever have, for their names have expired. Only behind a read barrier does the
// answer count. The error is KindUnavailable where names do not expire yet.
func (m *Machine) Strangers(ids []command.PackID) (strangers []command.PackID, err error) {
	now := m.group.Time() // before the view: names only get older
	err = m.read(func(r state.Reader) error {
		rules, err := readPackRules(r)
		if err != nil {
			return err
		}
		if rules.NameLife == 0 {
			return rookery.E("find packs", rookery.KindUnavailable, errNoNames)
		}
		for _, id := range ids {
			v, err := r.Get(packKey(id))
			if err != nil {
				return err
			}
			if v == nil && rules.expired(id, now) {
				strangers = append(strangers, id)
			}
		}
		return nil
	})
	return strangers, err
}

// PackTotals sums a group's packs.
type PackTotals struct {
	Packs int `json:"packs"`
	// Live and Waste are bytes in packs that something needs: what is needed,
	// and what a rewriting would free.
	Live  int64 `json:"live_bytes"`
	Waste int64 `json:"waste_bytes"`
	// Dead are packs nothing needs, DeadBytes their objects' bytes; Deletable
	// of them are kept by nothing.
	Dead      int   `json:"dead_packs"`
	DeadBytes int64 `json:"dead_bytes"`
	Deletable int64 `json:"deletable_bytes"`
}

// PackTotals looks at every pack of the group. What has been dead for at most
// grace nanoseconds is not counted as deletable.
func (m *Machine) PackTotals(grace int64) (t PackTotals, err error) {
	now := m.group.Time()
	err = m.read(func(r state.Reader) error {
		return r.Scan(newKey(tablePack), newKey(tablePack).End(), func(k, v []byte) (bool, error) {
			p := Pack{ID: command.PackID(k[1:])}
			if err := tables.Decode(v, &p); err != nil {
				return false, err
			}
			switch p.State {
			case PackLive:
				t.Packs++
				t.Live += p.Live
				t.Waste += p.Size - p.Live
			case PackDead:
				t.Dead++
				t.DeadBytes += p.Size
				if now-p.Dead > grace {
					why, err := keeper(r, &p, now)
					if err != nil {
						return false, err
					}
					if why == "" {
						t.Deletable += p.Size
					}
				}
			}
			return true, nil
		})
	})
	return t, err
}
