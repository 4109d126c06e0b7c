package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"rookery"
	nodelog "rookery/cluster/log"
)

const testGroup rookery.GroupID = 7

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// network joins the nodes of a test; any pair of them can be cut.
type network struct {
	mu    sync.Mutex
	links map[string]*link
	cut   map[string]bool // node -> cut off from all
	deaf  map[string]bool // node -> nobody can call it, but it can call
	open  bool            // questions for terms pass all cuts
	hold  map[string]chan struct{}
	held  chan string
	terms map[string]*testNode
	asked int
}

// holding is closed when answers to the node's requests may arrive.
func (n *network) holding(name string) chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hold[name]
}

// link is one node's transport.
type link struct {
	*raft.InmemTransport
	name string
	net  *network
}

var errCut = errors.New("the network is cut")

func newNetwork() *network {
	return &network{links: map[string]*link{}, cut: map[string]bool{}, deaf: map[string]bool{}, hold: map[string]chan struct{}{},
		held: make(chan string, 64), terms: map[string]*testNode{}}
}

func (n *network) join(name string) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, t := raft.NewInmemTransport(raft.ServerAddress(name))
	l := &link{InmemTransport: t, name: name, net: n}
	for other, o := range n.links {
		if other != name {
			o.Connect(raft.ServerAddress(name), t)
			t.Connect(raft.ServerAddress(other), o.InmemTransport)
		}
	}
	n.links[name] = l
	return l
}

func (n *network) setCut(name string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[name] = cut
}

func (n *network) check(from, to string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut[from] || n.cut[to] || n.deaf[to] {
		return errCut
	}
	return nil
}

// call runs one request; both ways must be open.
func (l *link) call(to raft.ServerAddress, do func() error) error {
	if err := l.net.check(l.name, string(to)); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return l.net.check(l.name, string(to))
}

func (l *link) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

func (l *link) AppendEntries(id raft.ServerID, a raft.ServerAddress, q *raft.AppendEntriesRequest, s *raft.AppendEntriesResponse) error {
	if err := l.net.check(l.name, string(a)); err != nil {
		return err
	}
	heartbeat := q.PrevLogEntry == 0 && len(q.Entries) == 0
	if hold := l.net.holding(l.name); hold != nil && !heartbeat {
		<-hold
		return errCut
	}
	err := l.InmemTransport.AppendEntries(id, a, q, s)
	if hold := l.net.holding(l.name); hold != nil {
		select { // an answer on its way for a long time
		case l.net.held <- string(a):
		default:
		}
		<-hold
		return err
	}
	return errors.Join(err, l.net.check(l.name, string(a)))
}

func (l *link) RequestVote(id raft.ServerID, a raft.ServerAddress, q *raft.RequestVoteRequest, s *raft.RequestVoteResponse) error {
	return l.call(a, func() error { return l.InmemTransport.RequestVote(id, a, q, s) })
}

func (l *link) RequestPreVote(id raft.ServerID, a raft.ServerAddress, q *raft.RequestPreVoteRequest, s *raft.RequestPreVoteResponse) error {
	return l.call(a, func() error { return l.InmemTransport.RequestPreVote(id, a, q, s) })
}

func (l *link) InstallSnapshot(id raft.ServerID, a raft.ServerAddress, q *raft.InstallSnapshotRequest,
	s *raft.InstallSnapshotResponse, r io.Reader) error {
	return l.call(a, func() error { return l.InmemTransport.InstallSnapshot(id, a, q, s, r) })
}

func (l *link) TimeoutNow(id raft.ServerID, a raft.ServerAddress, q *raft.TimeoutNowRequest, s *raft.TimeoutNowResponse) error {
	return l.call(a, func() error { return l.InmemTransport.TimeoutNow(id, a, q, s) })
}

// asker is one node's Peers.
type asker struct {
	net  *network
	from string
}

func (a asker) CurrentTerm(_ context.Context, s Server, group rookery.GroupID) (uint64, error) {
	time.Sleep(time.Millisecond)
	err := a.net.check(a.from, string(s.ID))
	a.net.mu.Lock()
	var to *Node
	if n := a.net.terms[string(s.ID)]; n != nil {
		to = n.node
	}
	a.net.asked++
	open := a.net.open
	a.net.mu.Unlock()
	if err != nil && !open {
		return 0, err
	}
	return to.CurrentTerm(group)
}

// testNode is a node with its disk: what survives a restart.
type testNode struct {
	name    string
	disk    disk
	log     LogStore
	machine *journal
	node    *Node
	group   *Group
}

// testCluster is n nodes, the first of which bootstraps.
type testCluster struct {
	t     testing.TB
	net   *network
	nodes []*testNode
	tune  func(*Options)
	disks func() disk
}

// disk holds a node's log between its starts.
type disk interface {
	open(testing.TB) LogStore
	close(testing.TB)
	crash() // after close: what was not synced is gone
}

// memoryDisk is the library's own store, which never loses anything.
type memoryDisk struct{ *raft.InmemStore }

func (d memoryDisk) open(testing.TB) LogStore { return d.InmemStore }
func (d memoryDisk) close(testing.TB)         {}
func (d memoryDisk) crash()                   {}

func newMemoryDisk() disk { return memoryDisk{raft.NewInmemStore()} }

// realDisk is this node's real log on a file system in memory.
type realDisk struct {
	fs  *vfs.MemFS
	log *nodelog.Log
}

func newRealDisk() disk {
	// The log pools its requests per process; one of an earlier bubble must
	// not be met in this one, and two collections empty a pool.
	runtime.GC()
	runtime.GC()
	return &realDisk{fs: vfs.NewCrashableMem()}
}

func (d *realDisk) open(t testing.TB) LogStore {
	t.Helper()
	var err error
	d.log, err = nodelog.Open(nodelog.Options{Dir: "log", FS: d.fs, SegmentSize: 4 << 20, Spares: 1, DiskBudget: 1,
		Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	g, err := d.log.Group(testGroup)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.SetFloor(nodelog.BodiesFloor, nodelog.Released); err != nil {
		t.Fatal(err)
	}
	return g
}

func (d *realDisk) close(t testing.TB) {
	t.Helper()
	if err := d.log.Close(); err != nil {
		t.Error(err)
	}
}

func (d *realDisk) crash() { d.fs = d.fs.CrashClone(vfs.CrashCloneCfg{}) }

func newCluster(t testing.TB, n int, tune func(*Options)) *testCluster {
	return newClusterOn(t, n, newMemoryDisk, tune)
}

func newClusterOn(t testing.TB, n int, disks func() disk, tune func(*Options)) *testCluster {
	c := &testCluster{t: t, net: newNetwork(), tune: tune, disks: disks}
	var first []Server
	for i := range n {
		first = append(first, Server{ID: rookery.NodeID(fmt.Sprint("n", i)), Address: fmt.Sprint("n", i)})
	}
	for _, s := range first {
		c.add(string(s.ID), first)
	}
	return c
}

func (c *testCluster) add(name string, bootstrap []Server) *testNode {
	n := &testNode{name: name, disk: c.disks(), machine: newJournal()}
	c.nodes = append(c.nodes, n)
	c.start(n, bootstrap)
	return n
}

func (c *testCluster) start(n *testNode, bootstrap []Server) {
	c.t.Helper()
	n.log = n.disk.open(c.t)
	o := Options{Node: rookery.NodeID(n.name), Peers: asker{c.net, n.name},
		Logger: quiet(),
		Log:    func(rookery.GroupID) (LogStore, error) { return n.log, nil },
		Transport: func(rookery.GroupID) (Transport, error) {
			return c.net.join(n.name), nil
		}}
	if c.tune != nil {
		c.tune(&o)
	}
	node, err := New(o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.net.mu.Lock()
	n.node = node
	c.net.terms[n.name] = n
	c.net.mu.Unlock()
	if n.group, err = n.node.Start(c.t.Context(), testGroup, n.machine, bootstrap); err != nil {
		c.t.Fatal(err)
	}
}

// stop closes a node; its disk stays.
func (c *testCluster) stop(n *testNode) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.node.Close(ctx); err != nil {
		c.t.Error("close:", err)
	}
	n.disk.close(c.t)
}

// crash stops a node so that what its machine had not synced is lost.
func (c *testCluster) crash(n *testNode) {
	c.t.Helper()
	after := n.machine.crash()
	c.net.setCut(n.name, true)
	c.stop(n)
	n.disk.crash()
	n.machine = after
	c.net.setCut(n.name, false)
}

func (c *testCluster) close() {
	for _, n := range c.nodes {
		c.stop(n)
		if n.machine.broken != "" {
			c.t.Error(n.name, n.machine.broken)
		}
	}
	time.Sleep(time.Minute) // requests to nodes that are gone time out
}

// leader waits until one of the nodes leads and confirms it.
func (c *testCluster) leader(except ...*testNode) *testNode {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		for _, n := range c.nodes {
			if slices.Contains(except, n) {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			_, err := n.group.ReadIndex(ctx)
			cancel()
			if err == nil {
				return n
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Fatal("no leader after a minute")
	return nil
}

// apply commits on whoever leads, again until it is known to be committed.
func (c *testCluster) apply(command string, except ...*testNode) rookery.LogIndex {
	c.t.Helper()
	for range 100 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		index, _, err := c.leader(except...).group.Apply(ctx, []byte(command))
		cancel()
		if err == nil {
			return index
		}
	}
	c.t.Fatalf("%q is not committed after 100 attempts", command)
	return 0
}

// converge waits until every node has applied index.
func (c *testCluster) converge(index rookery.LogIndex) {
	c.t.Helper()
	for _, n := range c.nodes {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := n.group.Wait(ctx, index); err != nil {
			c.t.Fatalf("%s never applied %d: %v", n.name, index, err)
		}
		cancel()
	}
}
