package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/system"
)

// damageShown is how long the status shows a read that failed its check.
const damageShown = time.Hour

// Status is how the node is, and the cluster as it sees it.
func (m *Monitor) Status() adminapi.Status {
	p := m.parts.Load()
	s := adminapi.Status{
		Name: m.o.Config.Name, Node: string(p.Self.Node), Cluster: p.Peers.Certificate().Cluster, Epoch: p.Self.Epoch,
		Problems: []string{},
	}
	problem := func(format string, args ...any) { s.Problems = append(s.Problems, fmt.Sprintf(format, args...)) }
	var err error
	if s.Settings, _, err = p.Replicas.System().Settings(); err != nil {
		problem("settings: %v", err)
	}
	s.Generation = p.Self.Generation
	if s.Gate, err = p.Replicas.System().Gate(); err != nil {
		problem("version gate: %v", err)
	}
	if s.Swept, err = p.Objects.LastSweep(); err != nil {
		problem("orphan sweep: %v", err)
	}
	nodes, err := p.Replicas.System().Nodes()
	if err != nil {
		problem("registry: %v", err)
	}
	names := map[rookery.NodeID]string{}
	for _, x := range nodes {
		names[x.ID] = x.Name
	}
	twins(nodes, problem)
	reports := p.Reports.All(system.MemberIDs(nodes))
	s.SettingsKey = p.Keys.SettingsKeyStatus(nodes, reports, problem)
	s.Authority = p.Keys.AuthorityTrouble(problem)
	if why, err := p.Keys.KitTrouble(); err != nil {
		problem("recovery kit: %v", err)
	} else if why != "" {
		problem("%s", why)
	}
	refusedNodes(nodes, reports, problem)
	wrong := peers.WrongClocks(reports)
	for _, x := range nodes {
		if x.Member() {
			s.Nodes = append(s.Nodes, p.nodeStatus(x, reports, problem))
			if skew := wrong[x.ID]; skew != 0 {
				problem("node %s: %s", x.Name, peers.SayClock(skew))
			}
		}
	}
	if err := p.Lives.NoPackets(); err != nil {
		problem("no UDP port for other nodes: %v; free the port, then restart the node. Failures are noticed over TCP meanwhile", err)
	}
	slices.SortFunc(s.Nodes, func(a, b adminapi.NodeStatus) int { return strings.Compare(a.Name, b.Name) })
	for _, id := range append([]rookery.GroupID{rookery.SystemGroup}, p.Replicas.Here()...) {
		if !p.void(id) {
			s.Groups = append(s.Groups, p.groupStatus(id, names, reports, problem))
		}
	}
	thin(s.Groups, p.Replication(), problem)
	s.Groups = append(s.Groups, p.groupsElsewhere(names, reports, problem)...)
	s.Store = p.Objects.Tried(problem)
	scattered(reports, names, problem)
	p.waiting(s.Groups, reports, m.o.Clock())
	p.storeTrouble(s.Groups, reports, problem)
	if s.Moves, err = p.Moves.Statuses(); err != nil {
		problem("moves of accounts: %v", err)
	}
	for name, err := range p.Directories.Trouble() {
		problem("directory %s: no server can be used: %v", name, err)
	}
	p.Copies.Problems(problem)
	s.Reads = p.Objects.ReadStats()
	if at := s.Reads.LastFailed; at != nil && time.Since(*at) < damageShown {
		problem("bodies in the object store are damaged: %d reads failed since this node started, %d of them in every copy; run: "+
			"rookery storage check -all", s.Reads.Failed, s.Reads.Lost)
	}
	ls := p.Replicas.Log().Stats()
	s.Log = adminapi.LogStatus{Segments: ls.Segments, Bytes: ls.Bytes, Free: ls.DiskFree, Disk: ls.Disk.String()}
	return s
}
