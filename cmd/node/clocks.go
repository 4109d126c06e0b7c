package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/storage/system"
)

// Every report says what time it is on its node; skews tells by that whose clock
// is wrong: by how much a node is ahead of the middle of all, where that is more
// than leaders put up with in a command. Of fewer than three clocks nobody can
// say which one is right.
func skews(offsets map[rookery.NodeID]time.Duration) map[rookery.NodeID]time.Duration {
	if len(offsets) < 3 {
		return nil
	}
	var all []time.Duration
	for _, o := range offsets {
		all = append(all, o)
	}
	slices.Sort(all)
	middle := (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	wrong := map[rookery.NodeID]time.Duration{}
	for id, o := range offsets {
		if d := o - middle; d.Abs() > consensus.MaxAhead {
			wrong[id] = d
		}
	}
	return wrong
}

// wrongClocks are the skews of the nodes that reported.
func wrongClocks(reports map[rookery.NodeID]peers.Report) map[rookery.NodeID]time.Duration {
	offsets := map[rookery.NodeID]time.Duration{}
	for id, r := range reports {
		if r.Clock != 0 { // an older version says nothing
			offsets[id] = r.Ahead
		}
	}
	return skews(offsets)
}

// clockFresh is for how long a look at the others' clocks counts.
const clockFresh = 10 * time.Second

// clockLook is what the clocks of the members said at one moment.
type clockLook struct {
	middle time.Time // the lower middle of them
	at     time.Time // when, by the clock that no setting moves
	err    error     // too few of them said anything
}

// look takes the clocks of those that reported, out of so many members. The
// lower middle of a majority is no later than a right clock, unless more of
// them are ahead than not.
func look(reports map[rookery.NodeID]peers.Report, members int) clockLook {
	l := clockLook{at: time.Now()}
	var clocks []time.Time
	for _, r := range reports {
		if r.Clock != 0 {
			clocks = append(clocks, time.Unix(0, r.Clock).Add(l.at.Sub(r.Heard)))
		}
	}
	if len(clocks) == 0 || 2*len(clocks) <= members {
		l.err = rookery.E("tell time", rookery.KindUnavailable,
			fmt.Errorf("%d of %d nodes say what time it is: nothing is deleted for its age before a majority does", len(clocks), members))
		return l
	}
	slices.SortFunc(clocks, time.Time.Compare)
	l.middle = clocks[(len(clocks)-1)/2]
	return l
}

// seeClocks notes what a look at the members' reports says about the time.
func (n *Node) seeClocks(reports map[rookery.NodeID]peers.Report, members int) (wrong map[rookery.NodeID]time.Duration) {
	wrong = wrongClocks(reports)
	n.skew.Store(int64(wrong[n.id.Node]))
	l := look(reports, members)
	n.clocks.Store(&l)
	return wrong
}

// agreedTime is what time it is for whatever deletes, or decides by age: the
// earlier of this node's clock and of the middle of a majority's. A node whose
// clock is known to be wrong, and one that hears no majority, has none
// (KindUnavailable): its job waits.
func (n *Node) agreedTime() (time.Time, error) {
	if l := n.clocks.Load(); l == nil || time.Since(l.at) > clockFresh {
		nodes, err := n.system.Nodes()
		if err != nil {
			return time.Time{}, err
		}
		all := system.MemberIDs(nodes)
		n.seeClocks(n.reports.All(all), len(all))
	}
	if skew := time.Duration(n.skew.Load()); skew != 0 {
		return time.Time{}, rookery.E("tell time", rookery.KindUnavailable, errors.New(sayClock(skew)))
	}
	l := n.clocks.Load()
	now := l.middle.Add(time.Since(l.at))
	if own := n.deps.Clock(); own.Before(now) {
		now = own
	}
	return now, l.err
}

// jobTime is agreedTime, and no more than a second past the time of a mail group
// that runs here. What an idle group lags behind, the entry that each round
// of the purge commits makes up for.
func (n *Node) jobTime(id rookery.GroupID) (time.Time, error) {
	now, err := n.agreedTime()
	if err != nil {
		return now, err
	}
	m := n.groups.Machine(id)
	if m == nil {
		return now, replicas.NotHere(id)
	}
	if most := time.Unix(0, m.Time()).Add(consensus.MaxAhead); most.Before(now) {
		now = most
	}
	return now, nil
}

// sayClock is for operators.
func sayClock(skew time.Duration) string {
	way := "ahead of"
	if skew < 0 {
		way = "behind"
	}
	return fmt.Sprintf("its clock is %v %s the others': set it, and run an NTP client; until then the node leads nothing, and mail through it may be answered as temporary",
		skew.Abs().Round(100*time.Millisecond), way)
}
