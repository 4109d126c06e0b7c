// Package placement decides which nodes hold which group and who leads: pure
// functions from what is known to what should be (Desired), to the next step
// there (Step) and to a better spread of leaders (Leaders), and one small
// driver that runs them (Reconciler).
//
// It never does I/O and has no clock of its own outside the driver, which
// acts through interfaces declared here. It never starts or stops a group,
// and it knows neither Raft's library nor the state machines.
//
// # Two nodes
//
// A group is not given a second vote when a second node joins: two votes need
// both nodes, so joining would lower availability. The second node follows as
// a learner, and when the third is there and both have caught up they get
// their votes one right after the other. A group that comes down to two nodes
// keeps both votes: every acknowledged message stays on both disks.
package placement

import (
	"fmt"
	"slices"
	"time"

	"rookery"
)

// NodeState says what the cluster makes of a node. The numbers are those of
// the registry.
type NodeState uint8

// The states of a node.
const (
	// Active nodes hold replicas and lead.
	Active NodeState = 0
	// Draining nodes get no new replica, lead nothing where another can, and
	// lose their replicas where there is a spare node.
	Draining NodeState = 1
	// Removed nodes are no members any more.
	Removed NodeState = 2
)

// Node is a node as this one sees it.
type Node struct {
	ID    rookery.NodeID
	Zone  string
	State NodeState
	Alive bool
	// Unfit nodes keep their replicas and lead nothing where another can.
	Unfit bool
	// Since is when Alive was last seen to change, or the node first seen.
	Since time.Time
}

// Placement is a group's place in the registry.
type Placement struct {
	Group   rookery.GroupID
	Members []rookery.NodeID
	Version uint64
	// Voters are Raft's as the group's leader last said, Confirmed is the
	// version they last followed.
	Voters    []rookery.NodeID
	Confirmed uint64
}

// Settled reports whether Raft's configuration follows the placement.
func (p Placement) Settled() bool { return p.Confirmed == p.Version }

// Votes are the nodes whose majority the group needs, as far as is known.
func (p Placement) Votes() []rookery.NodeID {
	if len(p.Voters) > 0 {
		return p.Voters
	}
	return p.Members
}

// Policy holds the settings.
type Policy struct {
	// Replication is how many nodes hold a mail group, and SystemReplication
	// how many vote in the system group; even numbers count as one less.
	Replication, SystemReplication int
	// DeadAfter is how long a node is away before others replace it.
	DeadAfter time.Duration
	// CatchUpLag is how many entries a node may be behind and count as caught
	// up, CatchUpTime how long it has to answer before it gets a vote.
	CatchUpLag  uint64
	CatchUpTime time.Duration
	// StableFor is how long every node and leader must have stayed as it is
	// before replicas or leaders move for nothing but balance.
	StableFor time.Duration
}

// Default is the policy without settings.
func Default() Policy {
	return Policy{Replication: 3, SystemReplication: 3, DeadAfter: 10 * time.Minute,
		CatchUpLag: 250, CatchUpTime: 2 * time.Second, StableFor: time.Minute}
}

// size is how many nodes shall hold a group.
func (p Policy) size(group rookery.GroupID) int {
	n := p.Replication
	if group == rookery.SystemGroup {
		n = p.SystemReplication
	}
	return max(1, odd(n))
}

// odd is the highest odd number up to n.
func odd(n int) int { return n - (n+1)%2 }

func majority(n int) int { return n/2 + 1 }

// Removable is nil if every group keeps a majority of live votes without the
// node, whichever change of its votes is under way, else KindConflict with the
// first group that might not. The registry checks the same on removal without
// knowing who is alive.
func Removable(id rookery.NodeID, nodes []Node, groups []Placement) error {
	live := map[rookery.NodeID]bool{}
	for _, n := range nodes {
		live[n.ID] = n.Alive && n.State != Removed && n.ID != id
	}
	for _, g := range groups {
		if !g.majorityWithout(id, live) {
			return rookery.E("remove node", rookery.KindConflict, fmt.Errorf(
				"group %d might have no majority of live votes; start the nodes that are down, or wait until the group has moved", g.Group))
		}
	}
	return nil
}

// majorityWithout allows for one change under way: the promotion of a member,
// or the end of a vote of one that is no member. A vote of one that is gone
// ends before anybody is promoted.
func (p Placement) majorityWithout(node rookery.NodeID, live map[rookery.NodeID]bool) bool {
	votes := p.Votes()
	left, leaves, ending := 0, false, false
	for _, id := range votes {
		switch member := slices.Contains(p.Members, id); {
		case !live[id]:
			ending = ending || !member && id != node
		default:
			left++
			leaves = leaves || !member
		}
	}
	switch {
	case slices.Contains(votes, node):
		return left >= majority(len(votes)) && !(leaves && left-1 < majority(len(votes)-1))
	case slices.Contains(p.Members, node):
		return ending || left >= majority(len(votes)+1)
	}
	return true
}
