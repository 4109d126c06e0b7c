package state

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"rookery"
)

// Group is one group's state. Apply and Restore are called by one goroutine
// at a time; everything else may be called by any.
type Group struct {
	store   *Store
	id      rookery.GroupID
	prefix  [prefixLen]byte
	end     []byte
	machine Machine
	retries *retries
	archive archive
	gone    atomic.Bool // erased: it reads nothing and never comes back

	mu      sync.RWMutex
	applied position
	config  configuration
	// generation counts restores, so that caches filled from an older view
	// can be told apart.
	generation uint64
}

// position is the applied row.
type position struct {
	index rookery.LogIndex
	term  uint64
	time  int64
}

// configuration is the Raft configuration in force at the position.
type configuration struct {
	index rookery.LogIndex
	data  []byte
}

func newGroup(s *Store, id rookery.GroupID) *Group {
	return &Group{store: s, id: id, prefix: groupPrefix(id), end: groupEnd(id), retries: newRetries()}
}

// ID is the group's name.
func (g *Group) ID() rookery.GroupID { return g.id }

// Machine is what Store.Group's make returned.
func (g *Group) Machine() Machine { return g.machine }

// Applied is the last applied entry, 0 and 0 before the first.
func (g *Group) Applied() (rookery.LogIndex, uint64) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.applied.index, g.applied.term
}

// Time is group time: that of the last command, unix nanoseconds.
func (g *Group) Time() int64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.applied.time
}

// Configuration is the last Raft configuration applied and its index; nil
// and 0 before the first. The caller must not change it.
func (g *Group) Configuration() ([]byte, rookery.LogIndex) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.config.data, g.config.index
}

// Generation counts how often the group's rows were replaced by Restore
// since the store was opened.
func (g *Group) Generation() uint64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.generation
}

// Sync returns when everything applied so far is durable.
func (g *Group) Sync() error { return g.store.Sync() }

// load reads the bookkeeping rows from disk.
func (g *Group) load() error {
	snap := g.Read()
	defer snap.Close()
	p, err := snap.position()
	if err != nil {
		return err
	}
	c, err := snap.configuration()
	if err != nil {
		return err
	}
	r := newRetries()
	if err := r.load(snap); err != nil {
		return err
	}
	var a archive
	if a.upto, a.on, err = snap.Archived(); err != nil {
		return err
	}
	g.retries, g.archive = r, a
	g.mu.Lock()
	g.applied, g.config = p, c
	g.mu.Unlock()
	return nil
}

// Apply executes entries in one atomic batch, together with the applied
// index, and returns one result for each: nil for entries without a command
// and for those applied before, which are skipped. The batch is visible to
// readers when Apply returns, but not necessarily on disk (see Sync). A
// database that cannot take the batch ends the process.
func (g *Group) Apply(entries []rookery.Entry) [][]byte {
	return g.apply(entries, func(tx *txn, i int, pos *position) []byte { return g.execute(tx, &entries[i], pos) })
}

// apply is Apply with the commands left to execute.
func (g *Group) apply(entries []rookery.Entry, execute func(tx *txn, i int, pos *position) []byte) [][]byte {
	results := make([][]byte, len(entries))
	pos, conf := g.applied, configuration{}
	tx := txn{group: g}
	for i := range entries {
		e := &entries[i]
		if e.Index <= pos.index {
			continue
		}
		if tx.batch == nil {
			tx.batch = g.store.db.NewIndexedBatch()
		}
		pos.index, pos.term = e.Index, e.Term
		switch {
		case e.Configuration != nil:
			conf = configuration{index: e.Index, data: append([]byte(nil), e.Configuration...)}
		case len(e.Data) > 0:
			results[i] = execute(&tx, i, &pos)
		}
	}
	if tx.batch == nil {
		return results
	}
	g.check(g.store.putConfiguration(tx.batch, g.prefix, conf))
	g.check(g.store.putPosition(tx.batch, g.prefix, pos))
	g.check(tx.batch.Commit(pebble.NoSync))
	g.check(tx.batch.Close())
	select {
	case g.store.changed <- struct{}{}:
	default: // it is known
	}
	g.mu.Lock()
	g.applied = pos
	if conf.index > 0 {
		g.config = conf
	}
	g.mu.Unlock()
	for _, fn := range tx.hooks {
		fn()
	}
	return results
}

// execute runs one command unless it was run before or may not run.
func (g *Group) execute(tx *txn, e *rookery.Entry, pos *position) []byte {
	h, offset, err := Unwrap(e.Data)
	if err != nil {
		g.judge(tx, e.Index, pos.time, Refused)
		return Refuse(rookery.KindInvalid, err.Error())
	}
	if result, why := g.retries.known(h); result != nil {
		g.judge(tx, e.Index, pos.time, why)
		return result
	}
	pos.time = max(pos.time+1, h.Time)
	result := g.run(tx, e, pos, offset)
	outcome := Executed
	if result[0] != statusOK {
		outcome = Refused
	}
	g.judge(tx, e.Index, pos.time, outcome)
	g.check(g.retries.keep(tx, h, result))
	return result
}

// run has the machine execute a command.
func (g *Group) run(tx *txn, e *rookery.Entry, pos *position, offset int) []byte {
	tx.index, tx.term, tx.time, tx.offset = e.Index, e.Term, pos.time, offset
	result := g.machine.Apply(tx, e.Data)
	if len(result) == 0 {
		panic(fmt.Sprintf("state: the machine of group %d gave no result at index %d", g.id, e.Index))
	}
	return result
}

// check ends the process on an error of the database: the applied entries
// are in the log, and the next start replays them.
func (g *Group) check(err error) {
	if err == nil {
		return
	}
	err = rookery.E("apply to state", 0, fmt.Errorf("group %d: %w", g.id, err))
	g.store.logger.Error("the state database failed; the node must stop", "error", err)
	g.store.fail(err)
	panic(err) // fail must not return
}

const positionVersion = 1

func (s *Store) putPosition(b *pebble.Batch, prefix [prefixLen]byte, p position) error {
	op := b.SetDeferred(prefixLen+1, 1+3*8)
	copy(op.Key, prefix[:])
	op.Key[prefixLen] = tableApplied
	p.append(op.Value[:0])
	return op.Finish()
}

func (p *position) append(v []byte) []byte {
	v = append(v, positionVersion)
	v = binary.BigEndian.AppendUint64(v, uint64(p.index))
	v = binary.BigEndian.AppendUint64(v, p.term)
	return binary.BigEndian.AppendUint64(v, uint64(p.time))
}

func decodePosition(v []byte) (p position, err error) {
	if len(v) != 1+3*8 || v[0] != positionVersion {
		return p, rookery.E("read applied index", rookery.KindDamaged, fmt.Errorf("its row is %x", v))
	}
	p.index = rookery.LogIndex(binary.BigEndian.Uint64(v[1:]))
	p.term = binary.BigEndian.Uint64(v[9:])
	p.time = int64(binary.BigEndian.Uint64(v[17:]))
	return p, nil
}

func (s *Store) putConfiguration(b *pebble.Batch, prefix [prefixLen]byte, c configuration) error {
	if c.index == 0 {
		return nil
	}
	op := b.SetDeferred(prefixLen+1, 8+len(c.data))
	copy(op.Key, prefix[:])
	op.Key[prefixLen] = tableConfiguration
	binary.BigEndian.PutUint64(op.Value, uint64(c.index))
	copy(op.Value[8:], c.data)
	return op.Finish()
}

func decodeConfiguration(v []byte) (c configuration, err error) {
	if len(v) < 8 {
		return c, rookery.E("read Raft configuration", rookery.KindDamaged, fmt.Errorf("its row is %x", v))
	}
	return configuration{index: rookery.LogIndex(binary.BigEndian.Uint64(v)), data: append([]byte(nil), v[8:]...)}, nil
}
