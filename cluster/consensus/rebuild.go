package consensus

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// Position is how far one replica's disk reaches.
type Position struct {
	// Term is the highest this node knows of, Last and LastTerm are the last
	// entry it holds, committed or not; LastTime is when that was appended by
	// its leader, zero if not known.
	Term     uint64           `json:"term"`
	Last     rookery.LogIndex `json:"last"`
	LastTerm uint64           `json:"last_term"`
	LastTime time.Time        `json:"last_time,omitzero"`
	// Applied is the last entry known to be committed: the state's.
	Applied rookery.LogIndex `json:"applied"`
	// Servers is the newest configuration, committed or not.
	Servers []Server `json:"configuration"`
}

// Newer reports whether p's log holds everything committed that q's holds,
// and q's is not known to hold as much: Raft's own order of logs.
func (p Position) Newer(q Position) bool {
	if p.LastTerm != q.LastTerm {
		return p.LastTerm > q.LastTerm
	}
	return p.Last > q.Last
}

// Inspect reads a replica's position. It changes nothing. The group must not
// be running.
func Inspect(log LogStore, m Machine) (p Position, err error) {
	defer func() { // the library panics on configurations that do not decode
		if r := recover(); r != nil {
			err = rookery.E("inspect group", rookery.KindDamaged, fmt.Errorf("%v", r))
		}
	}()
	if p.Term, err = log.GetUint64([]byte("CurrentTerm")); err != nil && err.Error() != "not found" {
		return p, err
	}
	p.Applied, p.LastTerm = m.Applied()
	p.Last = p.Applied
	if data, at := m.Configuration(); at > 0 {
		p.Servers = servers(raft.DecodeConfiguration(data))
	}
	last, err := log.LastIndex()
	if err != nil {
		return p, err
	}
	for i := uint64(p.Applied) + 1; i <= last; i++ {
		var l raft.Log
		if err := log.GetLog(i, &l); err != nil {
			return p, err
		}
		p.Last, p.LastTerm, p.LastTime = rookery.LogIndex(i), l.Term, l.AppendedAt
		if l.Type == raft.LogConfiguration {
			p.Servers = servers(raft.DecodeConfiguration(l.Data))
		}
	}
	p.Term = max(p.Term, p.LastTerm)
	return p, nil
}

func servers(c raft.Configuration) []Server {
	out := make([]Server, len(c.Servers))
	for i, s := range c.Servers {
		out[i] = Server{ID: rookery.NodeID(s.ID), Address: string(s.Address), Learner: s.Suffrage != raft.Voter}
	}
	return out
}

// OnlyVoter is the encoded configuration of a group with one server.
func OnlyVoter(s Server) []byte {
	return raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{s.raft()}})
}

// Tail are the commands that a replica's log holds above keep, up to last.
func Tail(log LogStore, keep, last rookery.LogIndex) (commands [][]byte, err error) {
	for i := uint64(keep) + 1; i <= uint64(last); i++ {
		var l raft.Log
		if err := log.GetLog(i, &l); err != nil {
			return nil, rookery.E("read the log's tail", 0, fmt.Errorf("entry %d: %w", i, err))
		}
		if l.Type == raft.LogCommand {
			commands = append(commands, l.Data)
		}
	}
	return commands, nil
}

// Rebuild makes a replica its group's only voter after the majority is lost
// for ever: behind the entry keep it writes a configuration with the one
// server and the commands, in a new term, in place of what the log held there.
// It can be repeated with the same arguments after a crash at any point,
// changes nothing when it was done, and is refused (KindConflict) when more
// stands in the log than it would write. from is the position at which it was
// decided; a log that has moved since is KindConflict. Nothing above keep may
// have been applied; who wants entries above it to live on brings them among
// the commands (see Tail) and keeps them safe until Rebuild returns.
func Rebuild(log LogStore, m Machine, from Position, keep rookery.LogIndex, term uint64, only Server, commands [][]byte) error {
	const op = "rebuild group"
	if term <= from.Term {
		return rookery.E(op, rookery.KindInvalid, fmt.Errorf("term %d is not above %d", term, from.Term))
	}
	next := uint64(keep) + 1
	now, err := Inspect(log, m)
	if err != nil {
		return err
	}
	begun := false
	var l raft.Log
	if err := log.GetLog(next, &l); err == nil {
		begun = l.Term == term && l.Type == raft.LogConfiguration
	} else if !errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	switch {
	case now.Applied > keep:
		return rookery.E(op, rookery.KindConflict, fmt.Errorf("entry %d is applied, above %d", now.Applied, keep))
	case begun && uint64(now.Last) == next+uint64(len(commands)):
		return nil
	case begun && uint64(now.Last) > next+uint64(len(commands)):
		return rookery.E(op, rookery.KindConflict, fmt.Errorf("the log was rebuilt and ends at entry %d now, not at %d: the group has gone on",
			now.Last, next+uint64(len(commands))))
	case begun: // and cut off
	case now.Last == keep: // what was there is cut off already
	case now.Last != from.Last || now.LastTerm != from.LastTerm:
		return rookery.E(op, rookery.KindConflict,
			fmt.Errorf("the log ends at entry %d of term %d and ended at %d of %d when the recovery was decided; inspect again",
				now.Last, now.LastTerm, from.Last, from.LastTerm))
	}
	// The term first: a crash between leaves a node that waits in a newer
	// term, and the next attempt goes on.
	if err := log.SetUint64([]byte("CurrentTerm"), term); err != nil {
		return err
	}
	if now.Last > keep {
		if err := log.DeleteRange(next, uint64(now.Last)); err != nil {
			return err
		}
	}
	if err := dropOvertaken(log, next); err != nil {
		return err
	}
	entries := []*raft.Log{{Index: next, Term: term, Type: raft.LogConfiguration, AppendedAt: time.Now(),
		Data: OnlyVoter(only)}}
	for i, c := range commands {
		entries = append(entries, &raft.Log{Index: next + 1 + uint64(i), Term: term, Type: raft.LogCommand, Data: c, AppendedAt: time.Now()})
	}
	return log.StoreLogs(entries)
}

// dropOvertaken empties a log that ends before the state does: an image
// overtook it, and what follows must not stand behind a gap.
func dropOvertaken(log LogStore, next uint64) error {
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := log.LastIndex()
	if err != nil || last == 0 || last+1 == next {
		return err
	}
	return log.DeleteRange(first, last)
}
