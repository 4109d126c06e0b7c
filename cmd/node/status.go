package node

import (
	"sort"

	"rookery"
)

// Status is what a node says of itself.
type Status struct {
	Name     string        `json:"name"`
	Node     string        `json:"node"`
	Epoch    uint64        `json:"epoch"`
	Settings uint64        `json:"settings_version"`
	Groups   []GroupStatus `json:"groups"`
	Log      LogStatus     `json:"log"`
	Problems []string      `json:"problems"`
}

// GroupStatus is one Raft group on the node.
type GroupStatus struct {
	Group    rookery.GroupID  `json:"group"`
	Leader   string           `json:"leader"`
	Applied  rookery.LogIndex `json:"applied"`
	Unpacked int              `json:"unpacked_bodies"`
	Bytes    int64            `json:"unpacked_bytes"`
}

// LogStatus is the node's log.
type LogStatus struct {
	Segments int    `json:"segments"`
	Bytes    int64  `json:"bytes"`
	Disk     string `json:"disk"`
}

func (n *Node) status() Status {
	s := Status{Name: n.cfg.Name, Node: string(n.id.Node), Epoch: n.id.Epoch, Problems: []string{}}
	if _, version, err := n.settings.local(); err == nil {
		s.Settings = version
	} else {
		s.Problems = append(s.Problems, err.Error())
	}
	ids := append(n.groups.here(), rookery.SystemGroup)
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	for _, id := range ids {
		g := n.groups.raft.Group(id)
		if g == nil {
			continue
		}
		gs := GroupStatus{Group: id}
		if leader, ok := g.Leader(); ok {
			gs.Leader = string(leader)
		} else {
			s.Problems = append(s.Problems, "a group has no leader: mail for its accounts waits")
		}
		gs.Applied, _ = g.Machine().Applied()
		if m := n.groups.machine(id); m != nil {
			bodies, bytes, err := m.UnpackedBytes()
			if err != nil {
				s.Problems = append(s.Problems, err.Error())
			}
			gs.Unpacked, gs.Bytes = bodies, bytes
		}
		s.Groups = append(s.Groups, gs)
	}
	ls := n.groups.log.Stats()
	s.Log = LogStatus{Segments: ls.Segments, Bytes: ls.Bytes, Disk: ls.Disk.String()}
	return s
}
