package state

import (
	"context"
	"sync"
	"time"

	"rookery"
)

// Proposer numbers one node's commands to one group and knows which may
// still be sent again. It keeps the numbers within Window of the oldest
// unanswered one, so no result is dropped that is still needed.
type Proposer struct {
	node  rookery.NodeID
	epoch uint64
	now   func() time.Time

	mu   sync.Mutex
	seq  uint64
	low  uint64
	open map[uint64]struct{}
	room chan struct{} // closed when low rises while someone waits
}

// NewProposer starts numbering at 1 in a fresh epoch: greater than any the
// node used before, which is the caller's to remember on disk.
func NewProposer(node rookery.NodeID, epoch uint64, now func() time.Time) *Proposer {
	return &Proposer{node: node, epoch: epoch, now: now, low: 1, open: map[uint64]struct{}{}}
}

// Next gives the next command's header. done must be called once when the
// command will not be sent again, whatever came of it. Next waits while too
// many numbers are ahead of the oldest open one; the error is then the
// context's, KindLimit.
func (p *Proposer) Next(ctx context.Context) (h Header, done func(), err error) {
	p.mu.Lock()
	for p.seq+1 >= p.low+Window {
		if p.room == nil {
			p.room = make(chan struct{})
		}
		room := p.room
		p.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return Header{}, nil, rookery.E("number a command", rookery.KindLimit, context.Cause(ctx))
		}
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	p.seq++
	seq := p.seq
	p.open[seq] = struct{}{}
	h = Header{Node: p.node, Epoch: p.epoch, Seq: seq, Low: p.low, Time: p.now().UnixNano()}
	return h, func() { p.done(seq) }, nil
}

func (p *Proposer) done(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, seq)
	for p.low <= p.seq {
		if _, open := p.open[p.low]; open {
			return
		}
		p.low++
		if p.room != nil {
			close(p.room)
			p.room = nil
		}
	}
}
