package node

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cmd/node/datadir"
)

// An older copy of a data directory that is started again has forgotten how it
// voted and what it acknowledged, and of two copies that run each votes. Raft
// notices neither. So a node tells the others how far its directory has come,
// on disk before it is told, and none may be behind what it told before.
const (
	callLineage = "lineage"

	// lineageEvery is how often a directory moves on: a copy that is older than
	// that is known by it.
	lineageEvery = 30 * time.Second
	// lineageWait bounds the asking before Raft starts. Who does not answer is
	// told later.
	lineageWait = time.Second
)

// sign is what a node says of its data directory.
type sign struct {
	// Run is random, of this process.
	Run string `cbor:"1,keyasint"`
	// Was is how the directory was found when the process began, Now is how far
	// it has come since.
	Was datadir.Moment `cbor:"2,keyasint"`
	Now datadir.Moment `cbor:"3,keyasint"`
}

// verdict is the answer. Older is that the directory was found behind Last,
// which the node has told before.
type verdict struct {
	Older bool           `cbor:"1,keyasint"`
	Last  datadir.Moment `cbor:"2,keyasint"`
}

// lineage keeps this node's directory moving on, and judges those of others by
// what they told since this node started.
type lineage struct {
	node *Node
	sign sign // of this node

	mu   sync.Mutex
	seen map[rookery.NodeID]sign
}

// openLineage finds out, as far as others live, that nobody has run on a later
// state of this directory. It is called before Raft starts.
func openLineage(ctx context.Context, n *Node) (*lineage, error) {
	was, err := n.dir.Moment()
	if err != nil {
		return nil, err
	}
	// An earlier version moved only the epoch on.
	if start := (datadir.Moment{Epoch: n.id.Epoch - 1}); was.Before(start) {
		was = start
	}
	l := &lineage{node: n, sign: sign{Run: rand.Text(), Was: was, Now: datadir.Moment{Epoch: n.id.Epoch}}, seen: map[rookery.NodeID]sign{}}
	n.mesh.Handle(callLineage, l.hear)
	ctx, cancel := context.WithTimeout(ctx, lineageWait)
	defer cancel()
	l.tell(ctx, n.mesh.others())
	return l, n.over.why()
}

// hear judges another node's sign.
func (l *lineage) hear(_ context.Context, from rookery.NodeID, body []byte) ([]byte, error) {
	var s sign
	if err := cbor.Unmarshal(body, &s); err != nil {
		return nil, rookery.E(callLineage, rookery.KindInvalid, err)
	}
	l.mu.Lock()
	last := l.seen[from]
	older := s.Run != last.Run && s.Was.Before(last.Now)
	if !older && (s.Run != last.Run || last.Now.Before(s.Now)) {
		l.seen[from] = s
	}
	l.mu.Unlock()
	return cbor.Marshal(verdict{older, last.Now})
}

// tell says to nodes how far this directory has come, and gives those that know
// now.
func (l *lineage) tell(ctx context.Context, nodes []rookery.NodeID) (know []rookery.NodeID) {
	body, err := cbor.Marshal(l.sign)
	if err != nil {
		return nil
	}
	var mu sync.Mutex
	var calls sync.WaitGroup
	for _, id := range nodes {
		calls.Go(func() {
			answer, err := l.node.mesh.Call(ctx, id, callLineage, body)
			var v verdict
			if err == nil && cbor.Unmarshal(answer, &v) == nil && v.Older {
				l.supersede(id, v.Last)
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

// run moves the directory on and tells it to all who live, until ctx ends.
func (l *lineage) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var know []rookery.NodeID
	for next := time.Now().Add(lineageEvery); ; {
		select {
		case now := <-tick.C:
			if now.After(next) {
				next = now.Add(lineageEvery)
				if err := l.advance(); err == nil { // else the disk is full, and later is as good
					know = nil
				}
			}
		case <-ctx.Done():
			return nil
		}
		missing := slices.DeleteFunc(l.node.mesh.others(), func(id rookery.NodeID) bool {
			return slices.Contains(know, id) || !l.node.lives.of(id).alive
		})
		asking, cancel := context.WithTimeout(ctx, askWait)
		know = append(know, l.tell(asking, missing)...)
		cancel()
	}
}

// advance moves the directory on, on disk first.
func (l *lineage) advance() error {
	now := l.sign.Now
	now.Age++
	err := l.node.dir.SaveMoment(now)
	if err == nil {
		l.sign.Now = now
	}
	return err
}

// supersede ends this node for good: alone it must not come back either.
func (l *lineage) supersede(by rookery.NodeID, last datadir.Moment) {
	l.node.over.end(l.node.dir.Supersede(by, l.sign.Was, last))
}
