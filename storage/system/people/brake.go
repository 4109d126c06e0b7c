package people

import (
	"slices"
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

// risky is what a change takes from an entry; 0 is nothing that the brake counts.
func risky(now, next *Entry) Risk {
	had, has := addresses(now), addresses(next)
	for i, a := range had {
		if !slices.Contains(has, a) || i == 0 && has[0] != a {
			return Readdressed
		}
	}
	if now.Has&^next.Has != 0 {
		return Lost
	}
	return 0
}

// addresses are those of an entry, the primary one first.
func addresses(e *Entry) (all []string) {
	for _, s := range e.Index {
		if strings.HasPrefix(s, Address) {
			all = append(all, s)
		}
	}
	return all
}

// over reports whether so many are too many.
func (c *copying[W]) over(n uint32) bool {
	return n > BrakeCount && uint64(n)*BrakeShare > uint64(max(c.Base, c.Present))
}

// mayLose counts an entry that is about to lose something, and keeps how it is. It
// is false where that is one too many: the brake has gone then.
func (c *copying[W]) mayLose(now *Entry) bool {
	if c.Window == 0 {
		c.Window, c.Base = c.w.Time(), c.Present
	}
	if c.w.Get(undoKey(now.Key)) != nil {
		return true
	}
	if c.over(c.Risky + 1) {
		c.brake()
		return false
	}
	c.Risky++
	c.w.Set(undoKey(now.Key), tables.Encode(now))
	return true
}

// brake takes back what entries have lost within the window, and holds it.
func (c *copying[W]) brake() {
	if c.Window == 0 {
		c.Window, c.Base = c.w.Time(), c.Present
	}
	c.Over, c.Risky = true, 0
	var undo []Entry
	c.w.Scan(entriesOf(tableUndo, c.ID), func(k, v []byte) bool {
		was := Entry{}
		tables.Must(tables.Decode(v, &was))
		was.Key = string(k[1:])
		undo = append(undo, was)
		return true
	})
	for i := range undo {
		was := &undo[i]
		c.w.Delete(undoKey(was.Key))
		now, found := c.entry(was.Key)
		risk := risky(was, &now)
		switch {
		case !found:
			continue
		case now.Vanished != 0:
			c.Present, c.Vanished = c.Present+1, c.Vanished-1
			c.w.Set(namedKey(was.Key), tables.NewKey(0).U64(0).U64(uint64(c.w.Time()))[1:])
			c.hold(was.Key, Vanishes, nil)
		case risk == 0:
			continue // it has back what it had
		default:
			next := now
			c.hold(was.Key, risk, &next)
		}
		was.Disabled = was.Disabled || now.Disabled
		c.put(&now, was)
	}
}

// calm has the brake count anew.
func (c *copying[W]) calm() {
	if c.Risky > 0 {
		c.w.Clear(entriesOf(tableUndo, c.ID))
	}
	c.Window, c.Base, c.Risky, c.Over = 0, 0, 0, false
}

// hold keeps a change for an operator, but for the entry's being disabled.
func (c *copying[W]) hold(key string, risk Risk, next *Entry) {
	h := change{Risk: risk, Next: next, Time: c.w.Time()}
	if v := c.w.Get(heldKey(key)); v != nil {
		var was change
		tables.Must(tables.Decode(v, &was))
		if h.Time = was.Time; string(tables.Encode(&h)) == string(v) {
			return
		}
	} else {
		if c.Held == 0 {
			c.Since = c.w.Time()
		}
		c.Held++
	}
	c.w.Set(heldKey(key), tables.Encode(&h))
	c.moved = true
	now, found := c.entry(key)
	if found && next != nil && next.Disabled && !now.Disabled && now.Vanished == 0 {
		off := now
		off.Disabled, off.Changed = true, c.w.Time()
		c.put(&now, &off)
	}
}

// release forgets a change that is held: the entry has back what it had.
func (c *copying[W]) release(key string) {
	c.w.Delete(heldKey(key))
	c.Held--
	c.moved = true
	if c.Held == 0 {
		c.calm()
	}
}

// settleMost is how many changes one command makes.
const settleMost = 1000

func settle[W Work](w W, x *command.SettlePeople) (command.Result, error) {
	if !validDirectory(x.Directory) || w.Get(directoryKey(x.Directory)) == nil {
		return nil, refused(rookery.KindNotFound, "there is no copy of a directory %.80q", x.Directory)
	}
	c := begin(w, x.Directory)
	switch {
	case c.Held == 0:
		return nil, refused(rookery.KindNotFound, "nothing of directory %s waits for approval", x.Directory)
	case c.Pending != x.Pending:
		return nil, refused(rookery.KindConflict, "other changes of directory %s wait by now: number %d, not %d; look at them again", x.Directory,
			c.Pending, x.Pending)
	}
	c.calm()
	n := c.Held
	if x.Approve {
		n = c.approve()
	} else {
		w.Clear(entriesOf(tableHeld, c.ID))
		// Who follows the directory hears of it by the number of batches.
		c.Held, c.Cookie, c.Reading, c.Batches = 0, nil, false, c.Batches+1
	}
	c.end()
	return &command.PurgeResult{Purged: n, More: c.Held > 0}, nil
}

// approve makes some of the changes that are held.
func (c *copying[W]) approve() (n uint32) {
	var keys []string
	var changes []change
	c.w.Scan(entriesOf(tableHeld, c.ID), func(k, v []byte) bool {
		var h change
		tables.Must(tables.Decode(v, &h))
		keys, changes = append(keys, string(k[1:])), append(changes, h)
		return len(keys) < settleMost
	})
	for i, key := range keys {
		c.w.Delete(heldKey(key))
		c.Held--
		now, found := c.entry(key)
		if !found || now.Vanished != 0 {
			continue
		}
		if next := changes[i].Next; next == nil {
			c.vanish(&now)
		} else {
			next.Key, next.Vanished, next.Changed = key, 0, c.w.Time()
			c.put(&now, next)
		}
	}
	return uint32(len(keys))
}
