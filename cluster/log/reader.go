package log

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"

	"rookery"
)

// Range names committed entries of a group: From to To, all of one term. Term 0
// is the term of whatever is committed there, for who does not know it: of
// entries that an image skipped only the numbers are known.
type Range struct {
	From, To rookery.LogIndex
	Term     uint64
}

// Entry is one entry that was read and checked. Data is not shared with anybody.
type Entry struct {
	Index rookery.LogIndex
	Term  uint64
	// Type is Raft's; a body that was put outside the range is a command.
	Type raft.LogType
	Data []byte
}

// Peers gives what this log does not have.
type Peers interface {
	// Entry gives what Record(index, term) returns on a node that has the
	// entry, with term 0 on one that knows it to be committed. KindNotFound: no
	// node has it; KindUnavailable: those that the error names may have it.
	Entry(ctx context.Context, group rookery.GroupID, index rookery.LogIndex, term uint64) ([]byte, error)
}

// Read hands on the entries of a range in order, from Raft's range, from what
// lies outside of it, or else from peers, which may be nil. An entry of another
// term is never given. The caller knows that the range is committed: with term 0
// that all of Raft's range up to To is. Read stores nothing.
//
// Errors: KindNotFound, nobody has the next entry; KindUnavailable, some peers
// could not be asked; KindDamaged, what was found fails its checksum and nobody
// has a better copy; and those of each, which ends it.
func (g *Group) Read(ctx context.Context, r Range, peers Peers, each func(Entry) error) error {
	if r.From == 0 || r.To < r.From {
		return rookery.E("read range", rookery.KindInvalid, fmt.Errorf("group %d: entries %d to %d are no range", g.id, r.From, r.To))
	}
	for i := r.From; i <= r.To; i++ {
		e, err := g.entryOf(ctx, r, i, peers)
		if err == nil {
			err = each(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entryOf finds one entry of a range, here or elsewhere.
func (g *Group) entryOf(ctx context.Context, r Range, i rookery.LogIndex, peers Peers) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, rookery.E("read range", rookery.KindUnavailable, err)
	}
	// Outside Raft's range lies also what was never committed: there only the
	// term tells.
	b, here, _, err := g.readHere(uint64(i), r.Term, r.Term == 0)
	if err == nil {
		return entryIn(b, here), nil
	}
	if peers == nil || !rookery.Is(err, rookery.KindNotFound) && !rookery.Is(err, rookery.KindDamaged) {
		return Entry{}, err
	}
	b, perr := peers.Entry(ctx, g.id, i, r.Term)
	if perr != nil {
		if from, to := g.Lacks(i, r.To); from != 0 {
			err = fmt.Errorf("this log has no entries %d to %d", from, to)
		}
		return Entry{}, rookery.E("read range", rookery.KindOf(perr), fmt.Errorf("group %d: %w; %w", g.id, err, perr))
	}
	if _, err := DataOf(b, g.id, i, r.Term); err != nil {
		return Entry{}, rookery.E("read range", rookery.KindDamaged, fmt.Errorf("a peer's answer: %w", err))
	}
	there, _ := decodeRecord(b)
	return entryIn(b, there), nil
}

func entryIn(b []byte, r record) Entry {
	return Entry{Index: rookery.LogIndex(r.index), Term: r.term, Type: raft.LogType(r.logType), Data: b[recordHead+int64(r.extensions):]}
}

// Lacks says which of the entries from to to lie before Raft's range here: an
// installed image skipped them, or their files have gone. Both are 0 where none
// does. Single bodies among them may be there all the same.
func (g *Group) Lacks(from, to rookery.LogIndex) (first, last rookery.LogIndex) {
	g.l.mu.RLock()
	defer g.l.mu.RUnlock()
	switch begin := rookery.LogIndex(g.log.first()); {
	case begin == 0:
		return from, to
	case from < begin:
		return from, min(to, begin-1)
	}
	return 0, 0
}
