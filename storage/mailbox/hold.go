package mailbox

import (
	"errors"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/holds"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var errNoNames = errors.New("the group has not agreed yet on how long a pack's name is good for; its leader sees to it within " +
	"minutes: try again")

// life is what holds are compared with.
func (p *Pack) life() holds.Life { return holds.Life{Arrived: p.Arrived, Dead: p.Dead} }

// Holds lists what keeps the group's packs, by kind and name.
func (m *Machine) Holds() (list []holds.Hold, err error) {
	err = m.read(func(r state.Reader) error {
		list, err = holds.List(r)
		return err
	})
	return list, err
}

// PackRules are those in force.
func (m *Machine) PackRules() (rules holds.Rules, err error) {
	err = m.read(func(r state.Reader) error {
		rules, err = holds.ReadRules(r)
		return err
	})
	return rules, err
}

// Keeper says what keeps a dead pack at a time, unix nanoseconds; "" is that
// PackDeleted will be agreed on, unless group time is behind. An error keeps it
// too.
func (m *Machine) Keeper(p Pack, now int64) (why string, err error) {
	err = m.read(func(r state.Reader) error {
		why, err = holds.Keeper(r, p.life(), now)
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
		rules, err := holds.ReadRules(r)
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
			if v == nil && rules.Expired(id, now) {
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
					why, err := holds.Keeper(r, p.life(), now)
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
