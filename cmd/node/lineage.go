package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/transport"
	"rookery/internal/durable"
)

// An older copy of a data directory that is started again has forgotten how it
// voted and what it acknowledged, and of two copies that run each votes. Raft
// notices neither. So a node tells the others how far its directory has come,
// on disk before it is told, and none may be behind what it told before.
const (
	callLineage    = "lineage"
	lineageFile    = "lineage.json"
	supersededFile = "superseded"

	// lineageEvery is how often a directory moves on: a copy that is older than
	// that is known by it.
	lineageEvery = 30 * time.Second
	// lineageWait bounds the asking before Raft starts. Who does not answer is
	// told later.
	lineageWait = time.Second
)

// moment is how far a data directory has come: the epoch of a start, and how
// often that start has moved it on.
type moment struct {
	Epoch uint64 `json:"epoch" cbor:"1,keyasint"`
	Age   uint64 `json:"age" cbor:"2,keyasint"`
}

func (m moment) before(o moment) bool {
	return m.Epoch < o.Epoch || m.Epoch == o.Epoch && m.Age < o.Age
}

// sign is what a node says of its data directory.
type sign struct {
	// Run is random, of this process.
	Run string `cbor:"1,keyasint"`
	// Was is how the directory was found when the process began, Now is how far
	// it has come since.
	Was moment `cbor:"2,keyasint"`
	Now moment `cbor:"3,keyasint"`
}

// verdict is the answer. Older is that the directory was found behind Last,
// which the node has told before.
type verdict struct {
	Older bool   `cbor:"1,keyasint"`
	Last  moment `cbor:"2,keyasint"`
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
	was, err := readLineage(n.cfg.DataDir)
	if err != nil {
		return nil, err
	}
	// An earlier version moved only the epoch on.
	if start := (moment{Epoch: n.id.Epoch - 1}); was.before(start) {
		was = start
	}
	l := &lineage{node: n, sign: sign{Run: rand.Text(), Was: was, Now: moment{Epoch: n.id.Epoch}}, seen: map[rookery.NodeID]sign{}}
	n.mesh.Handle(callLineage, l.hear)
	ctx, cancel := context.WithTimeout(ctx, lineageWait)
	defer cancel()
	l.tell(ctx, n.mesh.others())
	return l, n.over.why()
}

func readLineage(dir string) (m moment, err error) {
	path := filepath.Join(dir, lineageFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, rookery.E("read lineage", rookery.KindDamaged, fmt.Errorf("%s cannot be read: %w", path, err))
	}
	return m, nil
}

// hear judges another node's sign.
func (l *lineage) hear(_ context.Context, from rookery.NodeID, body []byte) ([]byte, error) {
	var s sign
	if err := cbor.Unmarshal(body, &s); err != nil {
		return nil, rookery.E(callLineage, rookery.KindInvalid, err)
	}
	l.mu.Lock()
	last := l.seen[from]
	older := s.Run != last.Run && s.Was.before(last.Now)
	if !older && (s.Run != last.Run || last.Now.before(s.Now)) {
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
	b, err := json.Marshal(now)
	if err == nil {
		err = durable.WriteFile(filepath.Join(l.node.cfg.DataDir, lineageFile), append(b, '\n'), 0o600)
	}
	if err == nil {
		l.sign.Now = now
	}
	return err
}

// supersede ends this node for good: alone it must not come back either.
func (l *lineage) supersede(by rookery.NodeID, last moment) {
	dir := l.node.cfg.DataDir
	text := fmt.Sprintf("node %s says that this node has run on a later state of %s (%d.%d) than it was found in (%d.%d): it is an older copy, or a second one that runs",
		by, dir, last.Epoch, last.Age, l.sign.Was.Epoch, l.sign.Was.Age)
	if err := durable.WriteFile(filepath.Join(dir, supersededFile), []byte(text+"\n"), 0o600); err != nil {
		text += fmt.Sprintf("; that could not be noted in it (%v)", err)
	}
	l.node.over.end(superseded(text, dir))
}

func superseded(text, dir string) error {
	return rookery.E("serve", rookery.KindDamaged, fmt.Errorf("%s. It would vote twice and has forgotten what it acknowledged. Start the newest copy if there is one; else run rookery remove for this node elsewhere, remove %s, and join as a new node", text, dir))
}

// refuseSuperseded keeps a directory that was found out from being started
// again, also where nobody else can be asked.
func refuseSuperseded(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, supersededFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return rookery.E("open node", rookery.KindUnavailable, err)
	}
	return superseded(string(b[:max(len(b)-1, 0)]), dir)
}
