package peers

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"rookery"
)

// Report is how a node is, as it tells the others.
type Report struct {
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
	Packing map[rookery.GroupID]Packing `cbor:"9,keyasint,omitempty"`
	// Place is the mark of the object store's directory, where it is one.
	Place string `cbor:"11,keyasint,omitempty"`
	// Settings says why the stored settings are not in force on it, if so.
	Settings string `cbor:"12,keyasint,omitempty"`
	// Refused are the ids of the directories that refuse it the service password.
	Refused []string `cbor:"13,keyasint,omitempty"`
	// Certificate is when the certificate for mail clients ends, in unix seconds;
	// 0 where it has none.
	Certificate int64 `cbor:"14,keyasint,omitempty"`
	// Closed says that it has not opened its listeners for clients yet.
	Closed bool `cbor:"15,keyasint,omitempty"`
	// Trusts is the newest version of the cluster's CA that it trusts, IssuedBy
	// the one that issued its certificate; 0 before the CA is changed for the
	// first time.
	Trusts   uint32 `cbor:"16,keyasint,omitempty"`
	IssuedBy uint32 `cbor:"17,keyasint,omitempty"`
	// Superseded are members that it has refused for an older copy of their data
	// directory, Returned removed nodes that tried to come back.
	Superseded []rookery.NodeID `cbor:"18,keyasint,omitempty"`
	Returned   []rookery.NodeID `cbor:"19,keyasint,omitempty"`
	// Outbound says what keeps it from sending to other systems that is ours to
	// mend.
	Outbound []string `cbor:"22,keyasint,omitempty"`
	// Unusual are the accounts of groups that it leads whose mail to other systems is
	// held, at most 20.
	Unusual []string `cbor:"23,keyasint,omitempty"`
	// Braked is when it last held messages instead of sending them back, unix
	// seconds; 0 where that is a day ago.
	Braked int64 `cbor:"24,keyasint,omitempty"`
	// Filling are the queues of groups that it leads that are nearly full.
	Filling []Filling `cbor:"25,keyasint,omitempty"`
	// Backup says what is wrong with the archive of groups that it leads, or keeps it
	// from the backup store.
	Backup []string `cbor:"26,keyasint,omitempty"`
	// Follows says of each directory that it follows, by its id, what keeps it from
	// that; empty is nothing.
	Follows map[string]string `cbor:"27,keyasint,omitempty"`
	// Epoch counts the node's starts: what earlier lives of it did is over.
	Epoch uint64 `cbor:"20,keyasint,omitempty"`
	// Hostname is what it calls itself to other mail servers.
	Hostname string `cbor:"21,keyasint,omitempty"`

	// Ahead is by how much its clock was ahead of this node's when it answered,
	// Heard when it did, by the clock that no setting moves.
	Ahead time.Duration `cbor:"-"`
	Heard time.Time     `cbor:"-"`
}

// Filling is how full the queue of a group for other systems is: what is owed,
// and the group's share of the cluster's bounds.
type Filling struct {
	Group     rookery.GroupID `cbor:"1,keyasint"`
	Items     uint64          `cbor:"2,keyasint,omitempty"`
	Bytes     int64           `cbor:"3,keyasint,omitempty"`
	MostItems uint64          `cbor:"4,keyasint,omitempty"`
	MostBytes int64           `cbor:"5,keyasint,omitempty"`
}

// Packing is how the packing of a group fares on the node that leads it.
type Packing struct {
	// Oldest is when the body that waits longest was delivered, in unix
	// nanoseconds; 0 where none waits.
	Oldest int64 `cbor:"1,keyasint,omitempty"`
	// Trouble is why packing waits, and Since when that began, in unix
	// nanoseconds. Empty while all goes well.
	Trouble string `cbor:"2,keyasint,omitempty"`
	Since   int64  `cbor:"3,keyasint,omitempty"`
	// Unreadable counts bodies that the log cannot give.
	Unreadable int `cbor:"4,keyasint,omitempty"`
}

// How long a report is good for, and how long a node may take to give one.
const (
	reportFresh = 100 * time.Millisecond
	reportWait  = time.Second
)

// Reports are those of the members, asked for when somebody needs them.
type Reports struct {
	ctx    context.Context // of the calls: who asks first may not wait for the answer
	peers  *Peers
	alive  func(rookery.NodeID) bool
	own    func() Report
	asking singleflight.Group

	mu   sync.Mutex
	last map[rookery.NodeID]answer
}

type answer struct {
	report Report
	err    error
	at     time.Time
}

// NewReports asks with calls that end with ctx. Own is the report of this
// node, which it gives to the others from now on.
func (p *Peers) NewReports(ctx context.Context, alive func(rookery.NodeID) bool, own func() Report) *Reports {
	AskReport.Serve(p, func(context.Context, rookery.NodeID, Nothing) (Report, error) { return own(), nil })
	return &Reports{ctx: ctx, peers: p, alive: alive, own: own, last: map[rookery.NodeID]answer{}}
}

func (r *Reports) fresh(id rookery.NodeID) (answer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.last[id]
	return a, ok && time.Since(a.at) < reportFresh
}

func (r *Reports) keep(id rookery.NodeID, a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[id] = a
}

// Of is a member's report, this node's included; false if it is not alive or
// does not answer within a second.
func (r *Reports) Of(id rookery.NodeID) (Report, bool) {
	if id == r.peers.self {
		own := r.own()
		own.Heard = time.Now()
		return own, true
	}
	if !r.alive(id) {
		return Report{}, false
	}
	if a, ok := r.fresh(id); ok {
		return a.report, a.err == nil
	}
	v, _, _ := r.asking.Do(string(id), func() (any, error) { return r.ask(id), nil })
	a := v.(answer)
	return a.report, a.err == nil
}

func (r *Reports) ask(id rookery.NodeID) (a answer) {
	ctx, cancel := context.WithTimeout(r.ctx, reportWait)
	defer cancel()
	clock := r.peers.opts.Clock
	asked := clock()
	if a.report, a.err = AskReport.Ask(ctx, r.peers, id, Nothing{}); a.err == nil {
		there := asked.Add(clock().Sub(asked) / 2)
		a.report.Ahead = time.Duration(a.report.Clock - there.UnixNano())
	}
	a.at = time.Now()
	a.report.Heard = a.at
	r.keep(id, a)
	return a
}

// All asks members side by side.
func (r *Reports) All(ids []rookery.NodeID) map[rookery.NodeID]Report {
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[rookery.NodeID]Report{}
	for _, id := range ids {
		all.Go(func() {
			if one, ok := r.Of(id); ok {
				mu.Lock()
				defer mu.Unlock()
				got[id] = one
			}
		})
	}
	all.Wait()
	return got
}
