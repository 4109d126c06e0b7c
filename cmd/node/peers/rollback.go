package peers

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cmd/node/datadir"
)

// An older copy of a data directory that is started again has forgotten how it
// voted and what it acknowledged, and of two copies that run each votes. Raft
// notices neither. So a node tells the others how far its directory has come,
// on disk before it is told, and none may be behind what it told before.
const (
	// advanceEvery is how often a directory moves on: a copy that is older than
	// that is known by it.
	advanceEvery = 30 * time.Second
	// guardWait bounds the asking before Raft starts. Who does not answer is
	// told later.
	guardWait = time.Second
)

// RollbackGuard keeps this node's directory moving on, and judges those of
// others by what they told since this node started.
type RollbackGuard struct {
	peers      *Peers
	superseded func(error)
	sign       Sign // of this node

	mu   sync.Mutex
	seen map[rookery.NodeID]Sign
}

// GuardRollback finds out, as far as others live, that nobody has run on a
// later state of this directory, else it tells superseded why the node must
// end. It is called before Raft starts.
func (p *Peers) GuardRollback(ctx context.Context, superseded func(error)) (*RollbackGuard, error) {
	was, err := p.dir.Moment()
	if err != nil {
		return nil, err
	}
	epoch := p.opts.ID.Epoch
	// An earlier version moved only the epoch on.
	if start := (datadir.Moment{Epoch: epoch - 1}); was.Before(start) {
		was = start
	}
	g := &RollbackGuard{
		peers: p, superseded: superseded, seen: map[rookery.NodeID]Sign{},
		sign: Sign{Run: rand.Text(), Was: was, Now: datadir.Moment{Epoch: epoch}},
	}
	Lineage.Serve(p, g.judge)
	ctx, cancel := context.WithTimeout(ctx, guardWait)
	defer cancel()
	g.tell(ctx, p.Others())
	return g, nil
}

// judge answers another node's sign.
func (g *RollbackGuard) judge(_ context.Context, from rookery.NodeID, s Sign) (Verdict, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := g.seen[from]
	older := s.Run != last.Run && s.Was.Before(last.Now)
	if !older && (s.Run != last.Run || last.Now.Before(s.Now)) {
		g.seen[from] = s
	}
	g.peers.refused.judged(from, older)
	return Verdict{older, last.Now}, nil
}

// tell says to nodes how far this directory has come, and gives those that know
// now.
func (g *RollbackGuard) tell(ctx context.Context, nodes []rookery.NodeID) (know []rookery.NodeID) {
	var mu sync.Mutex
	var calls sync.WaitGroup
	for _, id := range nodes {
		calls.Go(func() {
			v, err := Lineage.Ask(ctx, g.peers, id, g.sign)
			if err == nil && v.Older {
				g.superseded(g.peers.dir.Supersede(id, g.sign.Was, v.Last))
			}
			if err == nil || errors.Is(err, transport.ErrNoHandler) { // of an earlier version
				mu.Lock()
				defer mu.Unlock()
				know = append(know, id)
			}
		})
	}
	calls.Wait()
	return know
}

// Run moves the directory on and tells it to all who live, until ctx ends.
func (g *RollbackGuard) Run(ctx context.Context, alive func(rookery.NodeID) bool) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var know []rookery.NodeID
	for next := time.Now().Add(advanceEvery); ; {
		select {
		case now := <-tick.C:
			if now.After(next) {
				next = now.Add(advanceEvery)
				if err := g.advance(); err == nil { // else the disk is full, and later is as good
					know = nil
				}
			}
		case <-ctx.Done():
			return nil
		}
		missing := slices.DeleteFunc(g.peers.Others(), func(id rookery.NodeID) bool {
			return slices.Contains(know, id) || !alive(id)
		})
		asking, cancel := context.WithTimeout(ctx, askWait)
		know = append(know, g.tell(asking, missing)...)
		cancel()
	}
}

// advance moves the directory on, on disk first.
func (g *RollbackGuard) advance() error {
	now := g.sign.Now
	now.Age++
	err := g.peers.dir.SaveMoment(now)
	if err == nil {
		g.sign.Now = now
	}
	return err
}
