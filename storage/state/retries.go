package state

import (
	"encoding/binary"
	"fmt"

	"rookery"
)

// Limits on the results kept for one proposing node in one group.
const (
	// Window is how many sequence numbers back from the newest a result is
	// kept at most. A proposer must not run further ahead of its oldest
	// unanswered command (Proposer sees to it).
	Window = 4096
	// maxKept bounds the bytes of one node's results: the oldest go first.
	maxKept = 4 << 20
)

// retries is the table of results by which a command sent twice lands once.
// It is replicated state: what is kept and dropped follows from the entries
// alone. Rows are a ring of Window slots a node, each new result overwriting
// the one Window before it, so that dropping results writes nothing.
type retries struct {
	nodes map[rookery.NodeID]*proposals
}

// proposals are one node's kept results, all of one epoch.
type proposals struct {
	epoch  uint64
	newest uint64
	low    uint64 // results below are dropped, commands below refused
	bytes  int
	kept   map[uint64][]byte
}

func newRetries() *retries { return &retries{nodes: map[rookery.NodeID]*proposals{}} }

// known is the result of a command that must not be executed, and why: applied
// before, fenced or forgotten. nil means execute it.
func (r *retries) known(h Header) (result []byte, why Outcome) {
	p := r.nodes[h.Node]
	switch {
	case p == nil || h.Epoch > p.epoch:
		return nil, 0
	case h.Epoch < p.epoch || p.epoch == forgotten:
		return fencedResult(), Fenced
	}
	if result, ok := p.kept[h.Seq]; ok {
		return result, Duplicate
	}
	if h.Seq < p.low {
		return forgottenResult(), Forgotten
	}
	return nil, 0
}

// keep records the result of a command just executed.
func (r *retries) keep(tx *txn, h Header, result []byte) error {
	p := r.nodes[h.Node]
	if p != nil && p.epoch == forgotten {
		return nil // by this very command
	}
	if p == nil || h.Epoch > p.epoch {
		if p != nil { // the old epoch's rows must not come back at the next load
			from, to := retryKey(h.Node, 0), retryKey(h.Node, Window)
			if err := tx.deleteRange(from, to); err != nil {
				return err
			}
		}
		p = &proposals{epoch: h.Epoch, kept: map[uint64][]byte{}}
		r.nodes[h.Node] = p
	}
	p.add(h.Seq, result)
	p.raise(h.Low)
	if p.newest >= Window {
		p.raise(p.newest - Window + 1)
	}
	for p.bytes > maxKept && len(p.kept) > 1 {
		p.raise(p.low + 1)
	}
	value := make([]byte, 0, 3*binary.MaxVarintLen64+len(result))
	value = binary.AppendUvarint(value, p.epoch)
	value = binary.AppendUvarint(value, h.Seq)
	value = binary.AppendUvarint(value, p.low)
	value = append(value, result...)
	return tx.set(retryKey(h.Node, h.Seq%Window), value)
}

func (p *proposals) add(seq uint64, result []byte) {
	p.newest = max(p.newest, seq)
	p.bytes += len(result) - len(p.kept[seq])
	p.kept[seq] = result
}

// raise lifts the low-water mark and drops what is below.
func (p *proposals) raise(low uint64) {
	if low <= p.low {
		return
	}
	if low-p.low > uint64(len(p.kept)) {
		for seq, result := range p.kept {
			if seq < low {
				p.bytes -= len(result)
				delete(p.kept, seq)
			}
		}
	} else {
		for seq := p.low; seq < low; seq++ {
			p.bytes -= len(p.kept[seq])
			delete(p.kept, seq)
		}
	}
	p.low = low
}

// retryKey is the row of a node's slot; slot Window ends the node's results,
// and says of one without any that it is forgotten.
func retryKey(node rookery.NodeID, slot uint64) []byte {
	key := make([]byte, 0, 2+len(node)+2)
	key = append(key, tableRetries, byte(len(node)))
	key = append(key, node...)
	return binary.BigEndian.AppendUint16(key, uint16(slot))
}

// load reads the table back from its rows.
func (r *retries) load(s *Snap) error {
	err := scanRows(s.snap, s.group, []byte{tableRetries}, []byte{tableRetries + 1}, false, func(k, v []byte) (bool, error) {
		return true, r.loadRow(k, v)
	})
	if err != nil {
		return err
	}
	for _, p := range r.nodes { // rows are in slot order, so drop only at the end
		low := p.low
		p.low = 0
		p.raise(low)
	}
	return nil
}

func (r *retries) loadRow(k, v []byte) error {
	damaged := func() error {
		return rookery.E("read kept results", rookery.KindDamaged, fmt.Errorf("row %x is %.64x", k, v))
	}
	if len(k) < 4 || len(k) != 2+int(k[1])+2 {
		return damaged()
	}
	node := rookery.NodeID(k[2 : len(k)-2])
	var nums [3]uint64
	for i := range nums {
		n, size := binary.Uvarint(v)
		if size <= 0 {
			return damaged()
		}
		nums[i], v = n, v[size:]
	}
	if slot := binary.BigEndian.Uint16(k[len(k)-2:]); slot == Window {
		r.nodes[node] = &proposals{epoch: forgotten}
		return nil
	}
	epoch, seq, low := nums[0], nums[1], nums[2]
	p := r.nodes[node]
	if p == nil || epoch > p.epoch {
		p = &proposals{epoch: epoch, kept: map[uint64][]byte{}}
		r.nodes[node] = p
	}
	if epoch < p.epoch {
		return nil
	}
	p.low = max(p.low, low)
	p.add(seq, append([]byte(nil), v...))
	return nil
}
