package peers

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/cluster/consensus"
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

// WrongClocks are the skews of the nodes that reported.
func WrongClocks(reports map[rookery.NodeID]Report) map[rookery.NodeID]time.Duration {
	offsets := map[rookery.NodeID]time.Duration{}
	for id, r := range reports {
		if r.Clock != 0 { // an older version says nothing
			offsets[id] = r.Ahead
		}
	}
	return skews(offsets)
}

// ClocksFresh is for how long a reading of the members' clocks counts.
const ClocksFresh = 10 * time.Second

// reading is what the clocks of the members said at one moment.
type reading struct {
	middle time.Time // the lower middle of them
	at     time.Time // when, by the clock that no setting moves
	err    error     // too few of them said anything
}

// read takes the clocks of those that reported, out of so many members. The
// lower middle of a majority is no later than a right clock, unless more of
// them are ahead than not.
func read(reports map[rookery.NodeID]Report, members int) reading {
	l := reading{at: time.Now()}
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

// Clocks say what time it is by the clocks of all members.
type Clocks struct {
	reports *Reports
	members func() ([]rookery.NodeID, error)
	last    atomic.Pointer[reading]
	skew    atomic.Int64 // of this node's clock, where it is wrong; a time.Duration
}

// NewClocks reads the clocks of members by their reports.
func NewClocks(reports *Reports, members func() ([]rookery.NodeID, error)) *Clocks {
	return &Clocks{reports: reports, members: members}
}

// Note takes what reports say of the time, out of so many members, and gives the
// skews of those whose clocks are wrong.
func (c *Clocks) Note(reports map[rookery.NodeID]Report, members int) (wrong map[rookery.NodeID]time.Duration) {
	wrong = WrongClocks(reports)
	c.skew.Store(int64(wrong[c.reports.peers.self]))
	l := read(reports, members)
	c.last.Store(&l)
	return wrong
}

// Skew is by how much this node's clock is wrong, 0 where it is right as far as
// is known.
func (c *Clocks) Skew() time.Duration { return time.Duration(c.skew.Load()) }

// Now is what time it is for whatever deletes, or decides by age: the earlier
// of this node's clock and of the middle of a majority's. A node whose clock is
// known to be wrong, and one that hears no majority, has none
// (KindUnavailable): its job waits.
func (c *Clocks) Now() (time.Time, error) {
	if l := c.last.Load(); l == nil || time.Since(l.at) > ClocksFresh {
		members, err := c.members()
		if err != nil {
			return time.Time{}, err
		}
		c.Note(c.reports.All(members), len(members))
	}
	if skew := c.Skew(); skew != 0 {
		return time.Time{}, rookery.E("tell time", rookery.KindUnavailable, errors.New(SayClock(skew)))
	}
	l := c.last.Load()
	now := l.middle.Add(time.Since(l.at))
	if own := c.reports.peers.opts.Clock(); own.Before(now) {
		now = own
	}
	return now, l.err
}

// SayClock tells operators of a clock that is wrong.
func SayClock(skew time.Duration) string {
	way := "ahead of"
	if skew < 0 {
		way = "behind"
	}
	return fmt.Sprintf("its clock is %v %s the others': set it, and run an NTP client; until then the node leads nothing, and mail "+
		"through it may be answered as temporary",
		skew.Abs().Round(100*time.Millisecond), way)
}
