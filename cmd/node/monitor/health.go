package monitor

import (
	"encoding/json"
	"fmt"
	"net/http"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/internal/plural"
	"rookery/storage/command"
)

// phase is where a node is between Open and Close.
type phase int32

const (
	starting phase = iota
	serving
	stopping
)

// Verdict is the one line a balancer's operator reads.
type Verdict struct {
	Ready  bool   `json:"ready"`
	Reason string `json:"reason"`
}

func (m *Monitor) answer(w http.ResponseWriter, v Verdict) {
	w.Header().Set("Content-Type", "application/json")
	if !v.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(v)
}

// Ready decides about one protocol, or all for "".
func (m *Monitor) Ready(protocol string) Verdict {
	switch phase(m.phase.Load()) {
	case starting:
		if why := m.held.Load(); why != nil && *why != "" {
			return Verdict{Reason: "starting: " + *why}
		}
		return Verdict{Reason: "starting"}
	case stopping:
		return Verdict{Reason: "stopping"}
	}
	p := m.parts.Load()
	nodes, err := p.Replicas.System().Nodes()
	if err != nil {
		return Verdict{Reason: fmt.Sprintf("the registry of nodes cannot be read: %v", err)}
	}
	members, reached := 0, 0
	var others []rookery.NodeID
	for _, x := range nodes {
		if x.ID == p.Self.Node && x.State != command.NodeActive {
			return Verdict{Reason: x.State.String()}
		}
		if !x.Member() {
			continue
		}
		members++
		if p.Lives.Alive(x.ID) {
			reached++
			others = append(others, x.ID)
		}
	}
	if 2*reached < members {
		return Verdict{Reason: fmt.Sprintf("this node reaches only %d of %s", reached, plural.Of(members, "node"))}
	}
	if skew := p.Clocks.Skew(); skew != 0 {
		return Verdict{Reason: peers.SayClock(skew)}
	}
	disk := p.Replicas.Log().Disk().String()
	if (protocol == "" || protocol == "smtp") && disk != "ok" && m.roomier(others) {
		return Verdict{Reason: fmt.Sprintf("the disk is nearly full (%s limit): new mail would be answered 452", disk)}
	}
	return Verdict{true, m.remark(p)}
}

// roomier reports whether one of the nodes has room on its disk. This node,
// which may be among them, has none.
func (m *Monitor) roomier(nodes []rookery.NodeID) bool {
	for _, r := range m.parts.Load().Reports.All(nodes) {
		if r.Disk == "ok" {
			return true
		}
	}
	return false
}

// remark names what is wrong though no other node would do better.
func (m *Monitor) remark(p *Parts) string {
	for _, id := range append(p.Replicas.Here(), rookery.SystemGroup) {
		if g := p.Replicas.Group(id); g != nil {
			if _, ok := g.Leader(); !ok {
				return fmt.Sprintf("serving; group %d has no leader, its mail is answered as temporary", id)
			}
		}
	}
	if why := p.Settings.Trouble(); why != "" {
		return "serving; " + why
	}
	for name := range p.Directories.Trouble() {
		return fmt.Sprintf("serving; directory %s does not answer", name)
	}
	return "serving"
}
