package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/consensus"
)

// Status is what a node says of itself and of the cluster.
type Status struct {
	Name     string        `json:"name"`
	Node     string        `json:"node"`
	Cluster  string        `json:"cluster"`
	Epoch    uint64        `json:"epoch"`
	Settings uint64        `json:"settings_version"`
	Nodes    []NodeStatus  `json:"nodes"`
	Groups   []GroupStatus `json:"groups"`
	Log      LogStatus     `json:"log"`
	Problems []string      `json:"problems"`
	// Generation is of the cluster, empty before its first recovery. Gate is
	// the version of commands that was finalised.
	Generation string `json:"generation"`
	Gate       uint32 `json:"version_gate"`
}

// NodeStatus is one node as this one sees it.
type NodeStatus struct {
	Node    string `json:"node"`
	Name    string `json:"name"`
	Address string `json:"address"`
	Zone    string `json:"zone"`
	State   string `json:"state"`
	Version uint32 `json:"version"`
	// Binary is the version of the node's binary, empty while it is away.
	Binary string `json:"binary"`
	Alive  bool   `json:"alive"`
	Disk   string `json:"disk"`
}

// GroupStatus is one Raft group.
type GroupStatus struct {
	Group    rookery.GroupID  `json:"group"`
	Leader   string           `json:"leader"`
	Members  []string         `json:"members"`
	Learners []string         `json:"learners"`
	Last     rookery.LogIndex `json:"last"`
	Applied  rookery.LogIndex `json:"applied"`
	// Lag is how many entries each member's state is behind the leader's log.
	Lag      map[string]int64 `json:"lag"`
	Unpacked int              `json:"unpacked_bodies"`
	Bytes    int64            `json:"unpacked_bytes"`
}

// LogStatus is the node's log.
type LogStatus struct {
	Segments int    `json:"segments"`
	Bytes    int64  `json:"bytes"`
	Free     int64  `json:"free"`
	Disk     string `json:"disk"`
}

// nodeReport is what nodes tell each other for the status.
type nodeReport struct {
	Disk    string                               `cbor:"1,keyasint"`
	Applied map[rookery.GroupID]rookery.LogIndex `cbor:"2,keyasint"`
	Binary  string                               `cbor:"3,keyasint,omitempty"`
}

const callReport = "report"

func (n *Node) report() nodeReport {
	r := nodeReport{Disk: n.groups.log.Stats().Disk.String(), Applied: map[rookery.GroupID]rookery.LogIndex{}, Binary: BinaryVersion()}
	for _, id := range append(n.groups.here(), rookery.SystemGroup) {
		if g := n.groups.raft.Group(id); g != nil {
			r.Applied[id], _ = g.Machine().Applied()
		}
	}
	return r
}

func (n *Node) serveReports() {
	n.mesh.Handle(callReport, func(context.Context, rookery.NodeID, []byte) ([]byte, error) { return cbor.Marshal(n.report()) })
}

func (n *Node) status() Status {
	s := Status{Name: n.cfg.Name, Node: string(n.id.Node), Cluster: n.mesh.creds.Current().Cluster, Epoch: n.id.Epoch, Problems: []string{}}
	problem := func(format string, args ...any) { s.Problems = append(s.Problems, fmt.Sprintf(format, args...)) }
	_, version, err := n.settings.local()
	if err == nil {
		s.Settings = version
	} else {
		problem("settings: %v", err)
	}
	s.Generation = n.id.Generation
	if s.Gate, err = n.groups.system.Gate(); err != nil {
		problem("version gate: %v", err)
	}
	nodes, err := n.groups.system.Nodes()
	if err != nil {
		problem("registry: %v", err)
	}
	var ids []rookery.NodeID
	names := map[rookery.NodeID]string{}
	for _, x := range nodes {
		names[x.ID] = x.Name
		if x.Member() {
			ids = append(ids, x.ID)
		}
	}
	reports := map[rookery.NodeID]nodeReport{}
	for _, id := range ids {
		if r, ok := n.reportOf(id); ok {
			reports[id] = r
		}
	}
	for _, x := range nodes {
		if !x.Member() {
			continue
		}
		r, alive := reports[x.ID]
		s.Nodes = append(s.Nodes, NodeStatus{
			Node: string(x.ID), Name: x.Name, Address: x.Address, Zone: x.Zone, State: x.State.String(), Version: x.Version, Alive: alive, Disk: r.Disk, Binary: r.Binary,
		})
		if !alive {
			problem("node %s does not answer at %s", x.Name, x.Address)
		}
		if alive && r.Disk != "ok" {
			problem("node %s is short of disk space (%s limit)", x.Name, r.Disk)
		}
	}
	slices.SortFunc(s.Nodes, func(a, b NodeStatus) int { return strings.Compare(a.Name, b.Name) })
	for _, id := range append([]rookery.GroupID{rookery.SystemGroup}, n.groups.here()...) {
		s.Groups = append(s.Groups, n.groupStatus(id, names, reports, problem))
	}
	for name, err := range n.people.trouble() {
		problem("directory %s: no server answers: %v", name, err)
	}
	ls := n.groups.log.Stats()
	s.Log = LogStatus{Segments: ls.Segments, Bytes: ls.Bytes, Free: ls.DiskFree, Disk: ls.Disk.String()}
	return s
}

func (n *Node) groupStatus(id rookery.GroupID, names map[rookery.NodeID]string, reports map[rookery.NodeID]nodeReport, problem func(string, ...any)) GroupStatus {
	g := n.groups.raft.Group(id)
	gs := GroupStatus{Group: id, Lag: map[string]int64{}, Members: []string{}, Learners: []string{}}
	if g == nil {
		return gs
	}
	name := func(id rookery.NodeID) string {
		if names[id] != "" {
			return names[id]
		}
		return string(id)
	}
	if leader, ok := g.Leader(); ok {
		gs.Leader = name(leader)
	} else {
		problem("group %d has no leader: mail for its accounts waits", id)
	}
	st := g.Stats()
	gs.Last, gs.Applied = st.Last, st.Applied
	for _, m := range g.Servers() {
		gs.add(m, name(m.ID))
		if r, ok := reports[m.ID]; ok {
			gs.Lag[name(m.ID)] = max(0, int64(st.Last)-int64(r.Applied[id]))
		}
	}
	if want := int(n.replication.Load()); len(gs.Members) < want {
		problem("group %d is on %d of %d nodes: join another node, or set replication lower", id, len(gs.Members), want)
	}
	if m := n.groups.machine(id); m != nil {
		bodies, bytes, err := m.UnpackedBytes()
		if err != nil {
			problem("group %d: %v", id, err)
		}
		gs.Unpacked, gs.Bytes = bodies, bytes
	}
	return gs
}

func (s *GroupStatus) add(m consensus.Server, name string) {
	if m.Learner {
		s.Learners = append(s.Learners, name)
	} else {
		s.Members = append(s.Members, name)
	}
}
