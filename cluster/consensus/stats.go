package consensus

import "rookery"

// Stats are a group's numbers on this node at one moment.
type Stats struct {
	State   string // Follower, Candidate, Leader or Shutdown
	Leader  rookery.NodeID
	Term    uint64
	Last    rookery.LogIndex // last entry in the log
	Commit  rookery.LogIndex // last entry known to be committed
	Applied rookery.LogIndex // last entry in the state
	// Backlog is how many bytes are stored but not applied.
	Backlog int64
	Members int
}

// Stats reads the group's numbers.
func (g *Group) Stats() Stats {
	leader, _ := g.Leader()
	applied, _ := g.machine.Applied()
	g.backlog.mu.Lock()
	backlog := g.backlog.bytes
	g.backlog.mu.Unlock()
	return Stats{State: g.raft.State().String(), Leader: leader, Term: g.raft.CurrentTerm(),
		Last: rookery.LogIndex(g.raft.LastIndex()), Commit: rookery.LogIndex(g.raft.CommitIndex()),
		Applied: applied, Backlog: backlog, Members: len(g.configuration().Servers)}
}
