package node

import (
	"context"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sync/singleflight"

	"rookery"
)

// nodeReport is what nodes tell each other for the status.
type nodeReport struct {
	Disk    string                               `cbor:"1,keyasint"`
	Applied map[rookery.GroupID]rookery.LogIndex `cbor:"2,keyasint"`
	Binary  string                               `cbor:"3,keyasint,omitempty"`
	// Sessions are the clients' connections, Leads the groups it leads, Up
	// the seconds since it started.
	Sessions int               `cbor:"4,keyasint,omitempty"`
	Leads    []rookery.GroupID `cbor:"5,keyasint,omitempty"`
	Up       int64             `cbor:"6,keyasint,omitempty"`
	// Clock is the node's, in unix nanoseconds.
	Clock int64 `cbor:"7,keyasint,omitempty"`
	// SettingsKey is the version it uses.
	SettingsKey uint32 `cbor:"8,keyasint,omitempty"`
	// Packing is of the groups it leads.
	Packing map[rookery.GroupID]packReport `cbor:"9,keyasint,omitempty"`
	// Place is the mark of the object store's directory, where it is one.
	Place string `cbor:"11,keyasint,omitempty"`
	// Settings says why the stored settings are not in force on it, if so.
	Settings string `cbor:"12,keyasint,omitempty"`
	// ahead is by how much it was ahead of this node's when it answered.
	ahead time.Duration
	// heard is when it said so, by the clock that no setting moves.
	heard time.Time
}

const callReport = "report"

func (n *Node) report() nodeReport {
	r := nodeReport{Binary: BinaryVersion(), Clock: n.deps.Clock().UnixNano(), SettingsKey: n.settingsRing.ring.Current(), Sessions: n.sessions(), Up: int64(time.Since(n.lives.started).Seconds()), Settings: n.inForce.trouble(), Disk: n.groups.log.Stats().Disk.String(), Applied: map[rookery.GroupID]rookery.LogIndex{}, Packing: map[rookery.GroupID]packReport{}}
	if n.bodies != nil {
		r.Place = n.bodies.tried.where()
	}
	for _, id := range append(n.groups.here(), rookery.SystemGroup) {
		if g := n.groups.raft.Group(id); g != nil {
			r.Applied[id], _ = g.Machine().Applied()
			if g.IsLeader() {
				r.Leads = append(r.Leads, id)
				if id != rookery.SystemGroup {
					r.Packing[id] = n.bodies.packReport(id)
				}
			}
		}
	}
	return r
}

func (n *Node) serveReports() {
	n.mesh.Handle(callReport, func(context.Context, rookery.NodeID, []byte) ([]byte, error) { return cbor.Marshal(n.report()) })
}

// How long a report is good for, and how long a node may take to give one.
const (
	reportFresh = 100 * time.Millisecond
	reportWait  = time.Second
)

// reports are those of other members, asked for when somebody needs them.
type reports struct {
	asking singleflight.Group

	mu   sync.Mutex
	last map[rookery.NodeID]answer
}

type answer struct {
	report nodeReport
	err    error
	at     time.Time
}

func (r *reports) fresh(id rookery.NodeID) (answer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.last[id]
	return a, ok && time.Since(a.at) < reportFresh
}

func (r *reports) keep(id rookery.NodeID, a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[rookery.NodeID]answer{}
	}
	r.last[id] = a
}

// reportOf is a member's report, this node's included; false if it is not
// alive or does not answer within a second.
func (n *Node) reportOf(id rookery.NodeID) (nodeReport, bool) {
	if id == n.id.Node {
		r := n.report()
		r.heard = time.Now()
		return r, true
	}
	if !n.lives.of(id).alive {
		return nodeReport{}, false
	}
	if a, ok := n.reports.fresh(id); ok {
		return a.report, a.err == nil
	}
	v, _, _ := n.reports.asking.Do(string(id), func() (any, error) {
		ctx, cancel := context.WithTimeout(n.jobs, reportWait)
		defer cancel()
		var a answer
		asked := n.deps.Clock()
		body, err := n.mesh.Call(ctx, id, callReport, nil)
		if err == nil {
			err = cbor.Unmarshal(body, &a.report)
			there := asked.Add(n.deps.Clock().Sub(asked) / 2)
			a.report.ahead = time.Duration(a.report.Clock - there.UnixNano())
		}
		a.err, a.at = err, time.Now()
		a.report.heard = a.at
		n.reports.keep(id, a)
		return a, nil
	})
	a := v.(answer)
	return a.report, a.err == nil
}

// reportsOf asks members side by side.
func (n *Node) reportsOf(ids []rookery.NodeID) map[rookery.NodeID]nodeReport {
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[rookery.NodeID]nodeReport{}
	for _, id := range ids {
		all.Go(func() {
			if r, ok := n.reportOf(id); ok {
				mu.Lock()
				defer mu.Unlock()
				got[id] = r
			}
		})
	}
	all.Wait()
	return got
}

// sessions counts the clients' connections.
func (n *Node) sessions() (count int) {
	s := n.serving.Load()
	if s == nil {
		return 0
	}
	for _, g := range s.gates {
		g.mu.Lock()
		count += g.total
		g.mu.Unlock()
	}
	return count
}
