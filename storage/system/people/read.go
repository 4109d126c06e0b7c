package people

import (
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// View reads the copy. Read gives it the machine's rows.
type View struct {
	Read func(func(state.Reader) error) error
}

// Directory is how the copy of a directory stands; found is false where there is
// none yet.
func (v View) Directory(id string) (d Directory, found bool, err error) {
	if !validDirectory(id) {
		return d, false, nil
	}
	err = v.Read(func(r state.Reader) error {
		d, found, err = directories.Find(r, directoryKey(id))
		return err
	})
	d.ID = id
	return d, found, err
}

var directories = tables.Records[Directory]{Table: tableDirectory, What: "copy of a directory",
	Named: func(d *Directory, k []byte) error { d.ID = string(k); return nil }}

var entries = tables.Records[Entry]{Table: tableEntry, What: "entry of a directory",
	Named: func(e *Entry, k []byte) error { e.Key = string(k); return nil }}

// Directories are how all copies stand, in the order of their ids.
func (v View) Directories() (all []Directory, err error) {
	err = v.Read(func(r state.Reader) error {
		all, err = directories.List(r)
		return err
	})
	return all, err
}

// Entry is the one with a key, present or vanished.
func (v View) Entry(key string) (e Entry, found bool, err error) {
	if key == "" || len(key) > MaxKey {
		return e, false, nil
	}
	err = v.Read(func(r state.Reader) error {
		e, found, err = entries.Find(r, entryKey(key))
		return err
	})
	return e, found, err
}

// Found are the entries of a directory with an index string, present or vanished, at
// most so many, in the order of keys.
func (v View) Found(id, index string, most int) (all []Entry, err error) {
	if !validDirectory(id) || index == "" || most <= 0 {
		return nil, nil
	}
	err = v.Read(func(r state.Reader) error {
		k := append(indexOf(tableIndex, id, index), 0)
		return r.Scan(k, k.End(), func(row, _ []byte) (bool, error) {
			e, found, err := entries.Find(r, entryKey(id+"/"+string(row[len(k):])))
			if found {
				all = append(all, e)
			}
			return len(all) < most, err
		})
	})
	return all, err
}

// Has reports whether an entry is present just as a person is, and no change of it is
// held: to copy it again would only note that it is there.
func (v View) Has(p *command.Person) (is bool, err error) {
	if p.Key == "" || len(p.Key) > MaxKey {
		return false, nil
	}
	err = v.Read(func(r state.Reader) error {
		e, found, err := entries.Find(r, entryKey(p.Key))
		next := Entry{Value: p.Value, Index: unique(p.Index), Has: p.Has, Disabled: p.Disabled}
		if err != nil || !found || e.Vanished != 0 || !same(&e, &next) {
			return err
		}
		held, err := r.Get(heldKey(p.Key))
		is = held == nil
		return err
	})
	return is && err == nil, err
}

// Held is a change that waits for an operator. Next is nil where the entry
// vanishes.
type Held struct {
	Now  Entry
	Next *Entry
	Risk Risk
	// Time is when it was first held, unix nanoseconds of group time.
	Time int64
}

// Held lists changes of a directory that wait, at most so many, in the order of
// keys.
func (v View) Held(id string, most int) (all []Held, err error) {
	if !validDirectory(id) || most <= 0 {
		return nil, nil
	}
	err = v.Read(func(r state.Reader) error {
		k := entriesOf(tableHeld, id)
		return r.Scan(k, k.End(), func(row, value []byte) (bool, error) {
			var h change
			if err := tables.Decode(value, &h); err != nil {
				return false, tables.Damaged("change of an entry")
			}
			now, _, err := entries.Find(r, entryKey(string(row[1:])))
			if h.Next != nil {
				h.Next.Key = now.Key
			}
			all = append(all, Held{now, h.Next, h.Risk, h.Time})
			return len(all) < most, err
		})
	})
	return all, err
}

// Conflicts lists index strings that more than one present entry of a directory
// has, at most so many.
func (v View) Conflicts(id string, most int) (all []string, err error) {
	if !validDirectory(id) || most <= 0 {
		return nil, nil
	}
	err = v.Read(func(r state.Reader) error {
		k := indexOf(tableConflict, id, "")
		return r.Scan(k, k.End(), func(row, _ []byte) (bool, error) {
			all = append(all, string(row[len(k):]))
			return len(all) < most, nil
		})
	})
	return all, err
}
