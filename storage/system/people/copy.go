package people

import (
	"maps"
	"slices"
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

// copying is a directory's copy while a command changes it.
type copying[W Work] struct {
	w W
	Directory
	keys map[string]bool // of entries that have changed
	// strings are the index strings that may find other entries than before; those
	// that are true have won or lost one.
	strings map[string]bool
	// moved says that other changes are held than before.
	moved bool
}

func begin[W Work](w W, id string) *copying[W] {
	c := &copying[W]{w: w, Directory: Directory{ID: id}, keys: map[string]bool{}, strings: map[string]bool{}}
	if v := w.Get(directoryKey(id)); v != nil {
		tables.Must(tables.Decode(v, &c.Directory))
	}
	return c
}

// end writes how the copy stands, and tells what has changed.
func (c *copying[W]) end() {
	c.compare()
	if c.Held == 0 {
		c.Pending, c.Since = 0, 0
	} else if c.moved {
		c.Pending = c.Batches
	}
	c.w.Set(directoryKey(c.ID), tables.Encode(&c.Directory))
	switch {
	case len(c.keys)+len(c.strings) > maxTouched:
		c.w.PeopleChanged(Touched{Directory: c.ID, All: true})
	case len(c.keys) > 0:
		c.w.PeopleChanged(Touched{Directory: c.ID, Keys: slices.Sorted(maps.Keys(c.keys)), Index: slices.Sorted(maps.Keys(c.strings))})
	}
}

func copyPeople[W Work](w W, x *command.CopyPeople) (command.Result, error) {
	if err := checkBatch(x); err != nil {
		return nil, err
	}
	c := begin(w, x.Directory)
	if c.Batches != x.After {
		return nil, refused(rookery.KindConflict, "the copy of directory %s has taken %d batches, not %d: another node follows it", x.Directory,
			c.Batches, x.After)
	}
	c.Batches++
	if x.Full {
		c.Generation, c.Reading, c.Cookie = c.Generation+1, true, nil
	}
	if c.Window != 0 && w.Time()-c.Window > BrakeWindow {
		c.calm()
	}
	for i := range x.Changed {
		c.upsert(&x.Changed[i])
	}
	for _, k := range x.Gone {
		c.gone(k)
	}
	for _, k := range x.Named {
		if w.Get(namedKey(k)) != nil {
			c.name(k)
		}
	}
	if x.Complete {
		c.complete()
	}
	if len(x.Cookie) > 0 {
		c.Cookie = x.Cookie
	}
	c.end()
	return &command.Done{}, nil
}

// complete ends a read of everything, should one go on: what it has not named has
// vanished.
func (c *copying[W]) complete() {
	c.Complete = c.w.Time()
	if !c.Reading {
		return
	}
	c.Reading, c.Full = false, c.w.Time()
	var unnamed []string
	c.w.Scan(entriesOf(tableNamed, c.ID), func(k, v []byte) bool {
		if tables.U64At(v, 0) != c.Generation {
			unnamed = append(unnamed, string(k[1:]))
		}
		return true
	})
	// Nothing is changed only to be changed back.
	if !c.Over && c.over(c.Risky+uint32(len(unnamed))-c.heldOf(unnamed)) {
		c.brake()
	}
	for _, k := range unnamed {
		c.gone(k)
	}
}

func (c *copying[W]) heldOf(keys []string) (n uint32) {
	if c.Held == 0 {
		return 0
	}
	for _, k := range keys {
		if c.w.Get(heldKey(k)) != nil {
			n++
		}
	}
	return n
}

func (c *copying[W]) entry(key string) (e Entry, found bool) {
	v := c.w.Get(entryKey(key))
	if v == nil {
		return e, false
	}
	tables.Must(tables.Decode(v, &e))
	e.Key = key
	return e, true
}

// name notes that an entry is there.
func (c *copying[W]) name(key string) {
	v := c.w.Get(namedKey(key))
	if v == nil || tables.U64At(v, 0) != c.Generation {
		c.w.Set(namedKey(key), tables.NewKey(0).U64(c.Generation).U64(uint64(c.w.Time()))[1:])
	}
}

func (c *copying[W]) upsert(p *command.Person) {
	next := Entry{Key: p.Key, Value: p.Value, Index: unique(p.Index), Has: p.Has, Disabled: p.Disabled, Changed: c.w.Time()}
	now, found := c.entry(p.Key)
	if !found {
		c.Present++
		c.name(p.Key)
		c.put(&Entry{Key: p.Key, Vanished: 1}, &next)
		return
	}
	c.name(p.Key)
	risk := risky(&now, &next)
	held := c.Held > 0 && c.w.Get(heldKey(p.Key)) != nil
	switch {
	case now.Vanished != 0: // it takes nothing from who has come back
		c.Present, c.Vanished = c.Present+1, c.Vanished-1
	case same(&now, &next):
		if held {
			c.release(p.Key)
		}
		return
	case risk == 0:
		if held {
			c.release(p.Key)
		}
	case held || c.Over:
		c.hold(p.Key, risk, &next)
		return
	case !c.mayLose(&now):
		c.hold(p.Key, risk, &next)
		return
	}
	c.put(&now, &next)
}

// gone has an entry vanish, or holds that.
func (c *copying[W]) gone(key string) {
	now, found := c.entry(key)
	if !found || now.Vanished != 0 {
		return
	}
	if c.Over || c.Held > 0 && c.w.Get(heldKey(key)) != nil || !c.mayLose(&now) {
		c.hold(key, Vanishes, nil)
		return
	}
	c.vanish(&now)
}

func (c *copying[W]) vanish(now *Entry) {
	next := *now
	next.Vanished, next.Changed = c.w.Time(), c.w.Time()
	c.Present, c.Vanished = c.Present-1, c.Vanished+1
	c.w.Delete(namedKey(now.Key))
	c.put(now, &next)
}

// put writes an entry in the place of what it was.
func (c *copying[W]) put(was, now *Entry) {
	moved := (was.Vanished == 0) != (now.Vanished == 0)
	for _, s := range was.Index {
		if !slices.Contains(now.Index, s) {
			c.w.Delete(indexKey(c.ID, s, now.Key))
			c.touch(s, true)
		}
	}
	for _, s := range now.Index {
		fresh := !slices.Contains(was.Index, s)
		if fresh {
			c.w.Set(indexKey(c.ID, s, now.Key), nil)
		}
		c.touch(s, fresh || moved)
	}
	c.w.Set(entryKey(now.Key), tables.Encode(now))
	c.keys[now.Key] = true
}

func (c *copying[W]) touch(index string, moved bool) { c.strings[index] = c.strings[index] || moved }

// compare finds which addresses and logins more than one present entry has now.
func (c *copying[W]) compare() {
	for _, s := range slices.Sorted(maps.Keys(c.strings)) {
		if !c.strings[s] || !strings.HasPrefix(s, Address) && !strings.HasPrefix(s, Login) {
			continue
		}
		n, k := 0, append(indexOf(tableIndex, c.ID, s), 0)
		c.w.Scan(k, func(row, _ []byte) bool {
			if c.w.Get(namedKey(c.ID+"/"+string(row[len(k):]))) != nil {
				n++
			}
			return n < 2
		})
		mark := indexOf(tableConflict, c.ID, s)
		switch had := c.w.Get(mark) != nil; {
		case n > 1 && !had:
			c.w.Set(mark, nil)
			c.Conflicts++
		case n < 2 && had:
			c.w.Delete(mark)
			c.Conflicts--
		}
	}
}

// The beginnings of index strings that the machine knows: what one entry alone may
// have.
const (
	Address = "a:"
	Login   = "l:"
)

// unique are the strings, each once, in the order in which they come.
func unique(all []string) (some []string) {
	seen := make(map[string]bool, len(all))
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			some = append(some, s)
		}
	}
	return some
}

func same(a, b *Entry) bool {
	return string(a.Value) == string(b.Value) && slices.Equal(a.Index, b.Index) && a.Has == b.Has && a.Disabled == b.Disabled
}

func drop[W Work](w W, x *command.DropPeople) (command.Result, error) {
	if !validDirectory(x.Directory) || w.Get(directoryKey(x.Directory)) == nil {
		return nil, refused(rookery.KindNotFound, "there is no copy of a directory %.80q", x.Directory)
	}
	for _, t := range []byte{tableEntry, tableNamed, tableUndo, tableHeld} {
		w.Clear(entriesOf(t, x.Directory))
	}
	for _, t := range []byte{tableIndex, tableConflict} {
		w.Clear(tables.NewKey(t).Str(x.Directory).Str("\x00"))
	}
	w.Delete(directoryKey(x.Directory))
	w.PeopleChanged(Touched{Directory: x.Directory, All: true})
	return &command.Done{}, nil
}
