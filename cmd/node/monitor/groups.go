package monitor

import (
	"strconv"
	"strings"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
)

func (p *Parts) groupStatus(id rookery.GroupID, names map[rookery.NodeID]string, reports map[rookery.NodeID]peers.Report,
	problem func(string, ...any)) adminapi.GroupStatus {
	g := p.Replicas.Group(id)
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
	gs.Voters = standing(servers, p.isMember)
	for _, m := range servers {
		addMember(&gs, m, name(m.ID))
		if r, ok := reports[m.ID]; ok {
			gs.Lag[name(m.ID)] = max(0, int64(st.Last)-int64(r.Applied[id]))
		}
	}
	if m := p.Replicas.Machine(id); m != nil {
		bodies, bytes, err := m.UnpackedBytes()
		if err != nil {
			problem("group %d: %v", id, err)
		}
		gs.Unpacked, gs.Bytes = bodies, bytes
		if t, err := p.Objects.PackTotals(id, m); err == nil {
			gs.Stored = &t
		} else {
			problem("group %d: %v", id, err)
		}
	}
	return gs
}

// isMember reports whether a node is in the registry and was not removed.
func (p *Parts) isMember(id rookery.NodeID) bool {
	x, err := p.Replicas.System().Node(id)
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
			problem("on %d of %d nodes only: groups %s; stop none of them before another has caught up (join one if none is free), or "+
				"set replication lower", k, want, strings.Join(on[k], ", "))
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
