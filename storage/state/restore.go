package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// restoreTable is how large one ingested table grows.
const restoreTable = 64 << 20

// Restore replaces the group's state by an image, atomically and durably:
// after a crash it is either the old state or the new one. Views opened
// before keep the old rows. A damaged image changes nothing.
func (g *Group) Restore(r io.Reader) error {
	const op = "restore state"
	in := &incoming{store: g.store, prefix: g.prefix, end: g.end}
	defer in.remove()
	err := readImage(r, in.row)
	if err == nil {
		err = in.finish()
	}
	if err != nil {
		return rookery.E(op, 0, err)
	}
	if err := g.store.db.Ingest(context.Background(), in.paths); err != nil {
		return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("take in the new tables: %w", err))
	}
	g.mu.Lock()
	g.generation++
	g.mu.Unlock()
	if err := g.load(); err != nil {
		g.check(err) // the rows on disk are the new ones: nothing here may go on with the old
	}
	g.machine.Restored()
	return nil
}

// incoming writes an image into tables that replace the group's whole key
// range: each begins with a deletion of its part of the range, which an
// ingested table applies to older rows only, never to its own. Views keep
// what they see, unlike with an excise.
type incoming struct {
	store  *Store
	prefix [prefixLen]byte
	end    []byte

	paths []string
	w     *sstable.Writer
	from  []byte // first key the current table answers for
	bytes int
	last  []byte
	first bool // the applied row has been seen
}

func (in *incoming) row(k, v []byte) error {
	key := append(append(make([]byte, 0, prefixLen+len(k)), in.prefix[:]...), k...)
	if in.last != nil && bytes.Compare(key, in.last) <= 0 {
		return damagedImage("its rows are out of order")
	}
	in.last = key
	if len(k) == 1 && k[0] == tableApplied {
		if _, err := decodePosition(v); err != nil {
			return err
		}
		in.first = true
	}
	if in.w != nil && in.bytes >= restoreTable {
		if err := in.close(key); err != nil {
			return err
		}
	}
	if in.w == nil {
		from := in.prefix[:]
		if len(in.paths) > 0 {
			from = key
		}
		if err := in.open(from); err != nil {
			return err
		}
	}
	in.bytes += len(key) + len(v)
	return in.w.Set(key, v)
}

func (in *incoming) open(from []byte) error {
	fs := in.store.fs
	path := fs.PathJoin(in.store.incoming, fmt.Sprintf("%x-%d.sst", in.prefix, len(in.paths)))
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return rookery.E("create state table", rookery.KindUnavailable, err)
	}
	in.paths = append(in.paths, path)
	in.w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), sstable.WriterOptions{
		TableFormat: in.store.db.TableFormat(), Comparer: pebble.DefaultComparer, FilterPolicy: nil,
	})
	in.from, in.bytes = append([]byte(nil), from...), 0
	return nil
}

// close ends the current table, which answers for keys up to but not
// including to.
func (in *incoming) close(to []byte) error {
	w := in.w
	in.w = nil
	if err := errors.Join(w.DeleteRange(in.from, to), w.Close()); err != nil {
		return rookery.E("write state table", rookery.KindUnavailable, err)
	}
	return nil
}

func (in *incoming) finish() error {
	if !in.first {
		return damagedImage("it has no applied index")
	}
	return in.close(in.end)
}

// remove deletes what was not taken in. Ingest links the tables into the
// database, so these names are ours to remove either way.
func (in *incoming) remove() {
	if in.w != nil {
		_ = in.w.Close() // the image was refused; the error says why
	}
	for _, path := range in.paths {
		_ = in.store.fs.Remove(path) // gone already, or cleared by the next Open
	}
}

var _ interface {
	Restore(io.Reader) error
	Apply([]rookery.Entry) [][]byte
} = (*Group)(nil)
