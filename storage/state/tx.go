package state

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"rookery"
)

// txn is one Apply call's batch, and within it the entry being executed.
type txn struct {
	group  *Group
	batch  *pebble.Batch
	hooks  []func()
	key    []byte // scratch for Get
	index  rookery.LogIndex
	term   uint64
	time   int64
	offset int

	replaying bool
}

func (t *txn) Index() rookery.LogIndex { return t.index }
func (t *txn) Term() uint64            { return t.term }
func (t *txn) Time() int64             { return t.time }
func (t *txn) Offset() int             { return t.offset }
func (t *txn) Replaying() bool         { return t.replaying }
func (t *txn) OnCommit(fn func())      { t.hooks = append(t.hooks, fn) }

func (t *txn) Get(key []byte) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	t.key = append(append(t.key[:0], t.group.prefix[:]...), key...)
	return get(t.batch, t.key)
}

func (t *txn) Set(key, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return t.set(key, value)
}

// set is Set without the table check, for this package's own rows.
func (t *txn) set(key, value []byte) error {
	op := t.batch.SetDeferred(prefixLen+len(key), len(value))
	copy(op.Key, t.group.prefix[:])
	copy(op.Key[prefixLen:], key)
	copy(op.Value, value)
	return op.Finish()
}

func (t *txn) Delete(key []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	op := t.batch.DeleteDeferred(prefixLen + len(key))
	copy(op.Key, t.group.prefix[:])
	copy(op.Key[prefixLen:], key)
	return op.Finish()
}

func (t *txn) DeleteRange(from, to []byte) error {
	if err := checkKey(from); err != nil {
		return err
	}
	return t.deleteRange(from, to)
}

func (t *txn) deleteRange(from, to []byte) error {
	lower, upper := t.group.span(from, to)
	return t.batch.DeleteRange(lower, upper, nil)
}

func (t *txn) Scan(from, to []byte, fn func(k, v []byte) (bool, error)) error {
	return scan(t.batch, t.group, from, to, false, fn)
}

func (t *txn) ScanReverse(from, to []byte, fn func(k, v []byte) (bool, error)) error {
	return scan(t.batch, t.group, from, to, true, fn)
}

// span is a machine's key range as the database sees it.
func (g *Group) span(from, to []byte) (lower, upper []byte) {
	lower = append(append(make([]byte, 0, prefixLen+len(from)), g.prefix[:]...), from...)
	if to == nil {
		return lower, g.end
	}
	return lower, append(append(make([]byte, 0, prefixLen+len(to)), g.prefix[:]...), to...)
}

// get reads one row; key includes the group.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, readError(err)
	}
	out := append(make([]byte, 0, len(v)), v...)
	if err := closer.Close(); err != nil {
		return nil, readError(err)
	}
	return out, nil
}

// scan walks rows of a machine's tables.
func scan(r pebble.Reader, g *Group, from, to []byte, reverse bool, fn func(k, v []byte) (bool, error)) (err error) {
	if err := checkKey(from); err != nil {
		return err
	}
	return scanRows(r, g, from, to, reverse, fn)
}

func scanRows(r pebble.Reader, g *Group, from, to []byte, reverse bool, fn func(k, v []byte) (bool, error)) (err error) {
	lower, upper := g.span(from, to)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return readError(err)
	}
	defer func() {
		if e := it.Close(); err == nil && e != nil {
			err = readError(e)
		}
	}()
	step, ok := it.Next, false
	if reverse {
		step, ok = it.Prev, it.Last()
	} else {
		ok = it.First()
	}
	for ; ok; ok = step() {
		v, err := it.ValueAndErr()
		if err != nil {
			return readError(err)
		}
		if more, err := fn(it.Key()[prefixLen:], v); err != nil || !more {
			return err
		}
	}
	return nil
}

func readError(err error) error {
	kind := rookery.KindUnavailable
	if pebble.IsCorruptionError(err) {
		kind = rookery.KindDamaged
	}
	return rookery.E("read state", kind, err)
}
