package node

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/system"
)

// damageShown is how long the status shows a read that failed its check.
const damageShown = time.Hour

func (n *Node) status() adminapi.Status {
	s := adminapi.Status{Name: n.cfg.Name, Node: string(n.id.Node), Cluster: n.peers.Certificate().Cluster, Epoch: n.id.Epoch, Problems: []string{}}
	problem := func(format string, args ...any) { s.Problems = append(s.Problems, fmt.Sprintf(format, args...)) }
	var err error
	if s.Settings, _, err = n.system.Settings(); err != nil {
		problem("settings: %v", err)
	}
	s.Generation = n.id.Generation
	if s.Gate, err = n.system.Gate(); err != nil {
		problem("version gate: %v", err)
	}
	if s.Swept, err = n.objects.LastSweep(); err != nil {
		problem("orphan sweep: %v", err)
	}
	nodes, err := n.system.Nodes()
	if err != nil {
		problem("registry: %v", err)
	}
	names := map[rookery.NodeID]string{}
	for _, x := range nodes {
		names[x.ID] = x.Name
	}
	twins(nodes, problem)
	reports := n.reports.All(system.MemberIDs(nodes))
	s.SettingsKey = n.keys.SettingsKeyStatus(nodes, reports, problem)
	wrong := peers.WrongClocks(reports)
	for _, x := range nodes {
		if x.Member() {
			s.Nodes = append(s.Nodes, n.nodeStatus(x, reports, problem))
			if skew := wrong[x.ID]; skew != 0 {
				problem("node %s: %s", x.Name, peers.SayClock(skew))
			}
		}
	}
	if err := n.lives.NoPackets(); err != nil {
		problem("no UDP port for other nodes: %v; free the port, then restart the node. Failures are noticed over TCP meanwhile", err)
	}
	slices.SortFunc(s.Nodes, func(a, b adminapi.NodeStatus) int { return strings.Compare(a.Name, b.Name) })
	for _, id := range append([]rookery.GroupID{rookery.SystemGroup}, n.groups.Here()...) {
		if !n.void(id) {
			s.Groups = append(s.Groups, n.groupStatus(id, names, reports, problem))
		}
	}
	thin(s.Groups, n.registry.Policy().Replication, problem)
	s.Groups = append(s.Groups, n.groupsElsewhere(names, reports, problem)...)
	s.Store = n.objects.Tried(problem)
	scattered(reports, names, problem)
	n.waiting(s.Groups, reports)
	n.storeTrouble(s.Groups, reports, problem)
	if s.Moves, err = n.moves.Statuses(); err != nil {
		problem("moves of accounts: %v", err)
	}
	for name, err := range n.people.Trouble() {
		problem("directory %s: no server answers: %v", name, err)
	}
	s.Reads = n.objects.Reader.Stats()
	if at := s.Reads.LastFailed; at != nil && time.Since(*at) < damageShown {
		problem("bodies in the object store are damaged: %d reads failed since this node started, %d of them in every copy; run: rookery storage check -all", s.Reads.Failed, s.Reads.Lost)
	}
	ls := n.groups.Log().Stats()
	s.Log = adminapi.LogStatus{Segments: ls.Segments, Bytes: ls.Bytes, Free: ls.DiskFree, Disk: ls.Disk.String()}
	return s
}

// nodeStatus is a member with what is wrong with it.
func (n *Node) nodeStatus(x system.Node, reports map[rookery.NodeID]peers.Report, problem func(string, ...any)) adminapi.NodeStatus {
	life := n.lives.Of(x.ID)
	r, answers := reports[x.ID]
	ns := adminapi.NodeStatus{
		Node: string(x.ID), Name: x.Name, Address: x.Address, Zone: x.Zone, State: x.State.String(), Version: x.Version,
		Alive: life.Alive, Disk: r.Disk, Binary: r.Binary, Leads: len(r.Leads), Holds: len(n.holds(x.ID)), Sessions: r.Sessions, Up: r.Up,
	}
	if r.Settings != "" {
		problem("node %s: %s", x.Name, r.Settings)
	}
	ns.Movable, ns.Serves = n.spare(x.ID), n.serves(x.ID)
	switch {
	case !life.Alive:
		since := "since before this node started"
		if !life.Since.IsZero() {
			at := life.Since.UTC().Truncate(time.Second)
			ns.Since, since = &at, "since "+at.Format(time.RFC3339)
		}
		if ns.Stopped = life.Left; life.Left {
			problem("node %s is stopped %s", x.Name, since)
		} else {
			problem("node %s does not answer at %s %s", x.Name, x.Address, since)
		}
		if ns.Holds > 0 && !ns.Movable {
			problem("node %s cannot be replaced: no other node is free to take its %d groups; start it again, or join another node", x.Name, ns.Holds)
		}
	case !answers:
		problem("node %s lives but answers no calls at %s", x.Name, x.Address)
	case r.Disk == "hard":
		problem("node %s is short of disk space (hard limit): its mail groups are stopped on it until there is room", x.Name)
	case r.Disk != "ok":
		problem("node %s is short of disk space (%s limit)", x.Name, r.Disk)
	}
	if life.Alive && life.Mute && n.lives.NoPackets() == nil {
		problem("UDP to node %s at %s is blocked: open the UDP port of the same number; its failure is noticed over TCP meanwhile", x.Name, x.Address)
	}
	return ns
}

// holds are the groups that a node has a replica of or shall have one.
func (n *Node) holds(id rookery.NodeID) (held []rookery.GroupID) {
	groups, err := n.system.Groups()
	if err != nil {
		return nil
	}
	for _, g := range groups {
		if slices.Contains(g.Members, id) || slices.Contains(g.Voters, id) {
			held = append(held, g.Group)
		}
	}
	return held
}

// serves counts the mail groups in which a node's vote is confirmed.
func (n *Node) serves(id rookery.NodeID) (count int) {
	groups, err := n.system.Groups()
	if err != nil {
		return 0
	}
	for _, g := range groups {
		if g.Group != rookery.SystemGroup && g.Votes(id) {
			count++
		}
	}
	return count
}

// spare reports whether another node is free to take over some group that a
// node holds.
func (n *Node) spare(from rookery.NodeID) bool {
	nodes, err := n.system.Nodes()
	groups, gerr := n.system.Groups()
	if err != nil || gerr != nil {
		return false
	}
	for _, g := range groups {
		if !slices.Contains(g.Members, from) && !slices.Contains(g.Voters, from) {
			continue
		}
		if !slices.Contains(g.Members, from) || slices.ContainsFunc(nodes, func(x system.Node) bool {
			return x.State == command.NodeActive && !slices.Contains(g.Members, x.ID) && n.lives.Alive(x.ID)
		}) {
			return true
		}
	}
	return false
}

func (n *Node) groupStatus(id rookery.GroupID, names map[rookery.NodeID]string, reports map[rookery.NodeID]peers.Report, problem func(string, ...any)) adminapi.GroupStatus {
	g := n.groups.Group(id)
	gs := adminapi.GroupStatus{Group: id, Lag: map[string]int64{}, Members: []string{}, Learners: []string{}}
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
	servers := g.Servers()
	gs.Voters = standing(servers, n.isMember)
	for _, m := range servers {
		addMember(&gs, m, name(m.ID))
		if r, ok := reports[m.ID]; ok {
			gs.Lag[name(m.ID)] = max(0, int64(st.Last)-int64(r.Applied[id]))
		}
	}
	if m := n.groups.Machine(id); m != nil {
		bodies, bytes, err := m.UnpackedBytes()
		if err != nil {
			problem("group %d: %v", id, err)
		}
		gs.Unpacked, gs.Bytes = bodies, bytes
		if t, err := n.objects.PackTotals(id, m); err == nil {
			gs.Stored = &t
		} else {
			problem("group %d: %v", id, err)
		}
	}
	return gs
}

// isMember reports whether a node is in the registry and was not removed.
func (n *Node) isMember(id rookery.NodeID) bool {
	x, err := n.system.Node(id)
	return err == nil && x.Member()
}

// standing counts the voters that are nodes of the cluster. A removed one votes
// until Raft has another in its place, but may be gone at any moment.
func standing(servers []consensus.Server, member func(rookery.NodeID) bool) (voters int) {
	for _, m := range servers {
		if !m.Learner && member(m.ID) {
			voters++
		}
	}
	return voters
}

// thin says which groups are on fewer nodes than the settings ask for, one line
// for all on as many.
func thin(groups []adminapi.GroupStatus, want int, problem func(string, ...any)) {
	on := map[int][]string{}
	for _, g := range groups {
		if g.Voters < want {
			on[g.Voters] = append(on[g.Voters], strconv.Itoa(int(g.Group)))
		}
	}
	for k := range want {
		if on[k] != nil {
			problem("on %d of %d nodes only: groups %s; stop none of them before another has caught up (join one if none is free), or set replication lower", k, want, strings.Join(on[k], ", "))
		}
	}
}

func addMember(s *adminapi.GroupStatus, m consensus.Server, name string) {
	if m.Learner {
		s.Learners = append(s.Learners, name)
	} else {
		s.Members = append(s.Members, name)
	}
}
