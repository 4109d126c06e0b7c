package state

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"rookery"
)

// Erase removes everything of a group that has left this node, durably; what
// was applied to other groups before is on disk then, too. Nothing may apply
// to the group any more. Views opened before keep what they see, those opened
// afterwards on the group as it was say KindUnavailable: nothing in it has
// ceased to exist. Group then gives the group anew, empty. It may be repeated.
func (s *Store) Erase(id rookery.GroupID) error {
	const op = "erase group state"
	s.mu.Lock()
	if s.groups == nil {
		s.mu.Unlock()
		return rookery.E(op, rookery.KindUnavailable, errors.New("the store is closed"))
	}
	g := s.groups[id]
	delete(s.groups, id)
	s.mu.Unlock()
	if g != nil {
		g.gone.Store(true)
	}
	prefix := groupPrefix(id)
	if err := s.db.DeleteRange(prefix[:], groupEnd(id), pebble.Sync); err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	// Once the deletion is in a table of its own, tables that hold nothing but
	// what it covers are dropped unread.
	if err := s.db.Flush(); err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	return nil
}

func (g *Group) goneError() error {
	return rookery.E("read state", rookery.KindUnavailable, errors.New("the group has left this node; ask again, another has it"))
}
