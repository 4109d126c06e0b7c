package replica

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"rookery"
	"rookery/directory"
)

// record is a row, read. It is shared and never changed.
type record struct {
	directory.Record
	// Vanished is Row's.
	Vanished time.Time
	// cut is how many members a list has that are not in the copy.
	cut int
}

// memory remembers rows that were read, by what they were found.
type memory struct {
	mu      sync.Mutex
	answers *simplelru.LRU[string, []*record]
	// changes counts what was told: what was read before the last change is not
	// remembered after it.
	changes uint64
}

// keyed begins what is remembered by a key; no index string begins so.
const keyed = "k:"

// most is how many entries one name may find.
const most = 100

func newMemory(size int) memory {
	answers, _ := simplelru.NewLRU[string, []*record](size, nil) // fails for a size below 1 only
	return memory{answers: answers}
}

// Changed says which entries, by keys, have changed in the copy, and which index
// strings may find others. It is called once that is visible.
func (c *Copy) Changed(keys, index []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	for _, k := range keys {
		c.answers.Remove(keyed + k)
	}
	for _, s := range index {
		c.answers.Remove(s)
	}
}

// Forget drops everything that is remembered.
func (c *Copy) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.answers.Purge()
}

func (m *memory) recall(name string) (all []*record, known bool, changes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, known = m.answers.Get(name)
	return all, known, m.changes
}

func (m *memory) keep(name string, all []*record, changes uint64) {
	if len(all) == 0 {
		return // anybody may ask for what nobody has
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changes == changes {
		m.answers.Add(name, all)
	}
}

// found are the entries with an index string.
func (c *Copy) found(index string) ([]*record, error) {
	all, known, changes := c.recall(index)
	if known {
		return all, nil
	}
	all, err := c.read(index, most)
	if err == nil {
		c.keep(index, all, changes)
	}
	return all, err
}

// read is found of any number, which is not remembered.
func (c *Copy) read(index string, most int) (all []*record, err error) {
	rows, err := c.o.State.Found(index, most)
	if err != nil {
		return nil, rookery.E("read copy", rookery.KindUnavailable, err)
	}
	for _, row := range rows {
		if r := c.decode(row); r != nil {
			all = append(all, r)
		}
	}
	return all, nil
}

// byKey is nil where the copy has no such entry.
func (c *Copy) byKey(key string) (*record, error) {
	all, known, changes := c.recall(keyed + key)
	if !known {
		row, found, err := c.o.State.ByKey(key)
		if err != nil {
			return nil, rookery.E("read copy", rookery.KindUnavailable, err)
		}
		if r := c.decode(row); found && r != nil {
			all = []*record{r}
		}
		c.keep(keyed+key, all, changes)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all[0], nil
}

// decode is nil for a row that cannot be read, such as one of a later version.
func (c *Copy) decode(row Row) *record {
	if row.Key == "" {
		return nil
	}
	r, cut, err := decode(row.Key, row.Value)
	if err != nil {
		c.o.Logger.Error("an entry of the directory's copy cannot be read; the directory is asked instead", "directory", c.o.Name, "error", err)
		return nil
	}
	r.Disabled = r.Disabled || row.Disabled
	return &record{r, row.Vanished, cut}
}
