package state

import (
	"github.com/cockroachdb/pebble/v2"

	"rookery"
)

// Snap is a consistent view of one group, for one protocol command: while
// it is open the database keeps every row it sees. It is not for use by
// several goroutines at once.
type Snap struct {
	group      *Group
	snap       *pebble.Snapshot
	gone       bool // the group was erased, perhaps before the view was opened
	generation uint64
	key        []byte
}

var _ Reader = (*Snap)(nil)

// Read opens a view of everything applied so far. Close it.
func (g *Group) Read() *Snap {
	// The generation is read first: a restore in between makes the view
	// newer than it says, which only costs a cache miss.
	generation := g.Generation()
	s := &Snap{group: g, snap: g.store.db.NewSnapshot(), generation: generation}
	// Looked at afterwards: what is missing from a view because it was erased
	// is never taken for something that does not exist.
	s.gone = g.gone.Load()
	return s
}

// Close ends the view.
func (s *Snap) Close() {
	if s.snap == nil {
		return
	}
	s.group.store.closeView(s.snap)
	s.snap = nil
}

// Generation is the group's when the view was opened, see Group.Generation.
func (s *Snap) Generation() uint64 { return s.generation }

// Applied is the last entry the view contains. It reads one row.
func (s *Snap) Applied() (index rookery.LogIndex, term uint64, err error) {
	p, err := s.position()
	return p.index, p.term, err
}

// Time is group time as of the last entry in the view, unix nanoseconds.
func (s *Snap) Time() (int64, error) {
	p, err := s.position()
	return p.time, err
}

// Get is Reader's.
func (s *Snap) Get(key []byte) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return s.get(key)
}

func (s *Snap) get(key []byte) ([]byte, error) {
	if s.gone {
		return nil, s.group.goneError()
	}
	s.key = append(append(s.key[:0], s.group.prefix[:]...), key...)
	return get(s.snap, s.key)
}

// Scan is Reader's.
func (s *Snap) Scan(from, to []byte, fn func(k, v []byte) (bool, error)) error {
	return s.scan(from, to, false, fn)
}

// ScanReverse is Reader's.
func (s *Snap) ScanReverse(from, to []byte, fn func(k, v []byte) (bool, error)) error {
	return s.scan(from, to, true, fn)
}

func (s *Snap) scan(from, to []byte, reverse bool, fn func(k, v []byte) (bool, error)) error {
	if s.gone {
		return s.group.goneError()
	}
	return scan(s.snap, s.group, from, to, reverse, fn)
}

func (s *Snap) position() (position, error) {
	v, err := s.get([]byte{tableApplied})
	if v == nil || err != nil {
		return position{}, err
	}
	return decodePosition(v)
}

func (s *Snap) configuration() (configuration, error) {
	v, err := s.get([]byte{tableConfiguration})
	if v == nil || err != nil {
		return configuration{}, err
	}
	return decodeConfiguration(v)
}
