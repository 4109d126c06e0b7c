package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"rookery"
)

// keyTrace is where a log's stable part keeps the trace.
var keyTrace = []byte("Trace")

// Trace is what stays of a replica that was forgotten: where its log ended.
// Together with the term and the vote, which stay too, that is all by which a
// log decides about votes. So a replica that comes back without its log votes
// like the one it was.
type Trace struct {
	// Term and Last are those of the last entry that was ever held here.
	Term uint64
	Last rookery.LogIndex
	// Erasing is that what was held may still be there, whole or in part.
	Erasing bool
}

// above reports whether the trace lies behind a log that ends at (term, last).
func (t Trace) above(term uint64, last rookery.LogIndex) bool {
	return t.Term > term || t.Term == term && t.Last > last
}

// ReadTrace gives the trace of a replica that was forgotten and has not caught
// up with itself since; false where there is none.
func ReadTrace(log LogStore) (t Trace, found bool, err error) {
	b, err := log.Get(keyTrace)
	switch {
	case err != nil && err.Error() == "not found" || err == nil && len(b) == 0:
		return t, false, nil
	case err != nil:
		return t, false, err
	case len(b) != 17 || b[16] > 1:
		return t, false, rookery.E("read trace", rookery.KindDamaged, fmt.Errorf("it is %x: remove this node from the group", b))
	}
	return Trace{Term: binary.BigEndian.Uint64(b), Last: rookery.LogIndex(binary.BigEndian.Uint64(b[8:])), Erasing: b[16] == 1}, true, nil
}

func (t Trace) write(log LogStore) error {
	b := binary.BigEndian.AppendUint64(nil, t.Term)
	b = append(binary.BigEndian.AppendUint64(b, uint64(t.Last)), 0)
	if t.Erasing {
		b[16] = 1
	}
	return log.Set(keyTrace, b)
}

// dropTrace is for a log that reaches beyond the trace: it speaks for itself.
func dropTrace(log LogStore) error { return log.Set(keyTrace, nil) }

// Forget frees what this node holds of a group that has left it: that members
// without this node are committed is for the caller to know. It writes the
// trace, has erase delete the log's entries and the machine's state, durably,
// and notes that this is done. Cut off anywhere it is called again, also after
// a restart; until it has ended the group does not start. The term and the
// vote must stay.
func (n *Node) Forget(id rookery.GroupID, m Machine, erase func() error) error {
	const op = "forget group"
	if n.Group(id) != nil {
		return rookery.E(op, rookery.KindConflict, fmt.Errorf("group %d runs: stop it first", id))
	}
	log, err := n.opts.Log(id)
	if err != nil {
		return rookery.E(op, 0, err)
	}
	t, err := traceToLeave(log, m)
	if err == nil {
		err = t.write(log)
	}
	if err == nil {
		err = erase()
	}
	if err == nil {
		t.Erasing = false
		err = t.write(log)
	}
	if err != nil {
		return rookery.E(op, 0, fmt.Errorf("group %d: %w", id, err))
	}
	return nil
}

// traceToLeave is where the log ends, or where it once ended, whichever is
// further. What is half erased tells nothing.
func traceToLeave(log LogStore, m Machine) (Trace, error) {
	t, found, err := ReadTrace(log)
	if err != nil || found && t.Erasing {
		return t, err
	}
	p, err := Inspect(log, m)
	if err != nil {
		return t, err
	}
	if !found || !t.above(p.LastTerm, p.Last) {
		t.Term, t.Last = p.LastTerm, p.Last
	}
	t.Erasing = true
	return t, nil
}

// heldBelow is the trace that a replica about to start has to catch up with,
// nil where there is none any more.
func heldBelow(log LogStore, m Machine) (*Trace, error) {
	t, found, err := ReadTrace(log)
	if err != nil || !found {
		return nil, err
	}
	if t.Erasing {
		return nil, rookery.E("start replica", rookery.KindConflict, errors.New("what is left of an earlier replica is not erased yet"))
	}
	p, err := Inspect(log, m)
	if err != nil {
		return nil, err
	}
	if t.above(p.LastTerm, p.Last) {
		return &t, nil
	}
	return nil, dropTrace(log)
}

// caughtUp lets a replica that was held go once its state has passed the
// trace. The state, not the log, for what it contains is committed.
func (g *Group) caughtUp() {
	t := g.held.Load()
	if t == nil {
		return
	}
	if index, term := g.machine.Applied(); t.above(term, index) {
		return
	}
	if err := dropTrace(g.backlog); err != nil {
		g.logger.Error("the trace of an earlier replica cannot be removed; trying again with the next entry", "error", err)
		return
	}
	g.held.Store(nil)
	<-g.started
	g.reload(func(c *raft.ReloadableConfig) {
		c.HeartbeatTimeout, c.ElectionTimeout = g.node.Heartbeat, g.node.Heartbeat
	})
	g.logger.Info("caught up with the earlier replica on this disk: votes and stands again", "term", t.Term, "last", t.Last)
}
