package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/internal/plural"
)

// storeTrouble tells of groups whose bodies do not get into the object store.
func (p *Parts) storeTrouble(groups []adminapi.GroupStatus, reports map[rookery.NodeID]peers.Report, problem func(string, ...any)) {
	var waiting []string
	var since, oldest int64
	var why string
	var bodies int
	var bytes int64
	for _, r := range reports {
		for id, p := range r.Packing {
			if p.Unreadable > 0 {
				problem("group %d: %s cannot be read from the log and %s in no pack yet; see the leader's log", id,
					plural.Of(p.Unreadable, "body"), plural.Verb(p.Unreadable, "is", "are"))
			}
			if p.Trouble == "" {
				continue
			}
			waiting = append(waiting, fmt.Sprint(id))
			if since == 0 || p.Since < since {
				since, why = p.Since, p.Trouble
			}
			for _, g := range groups {
				if g.Group == id {
					bodies, bytes, oldest = bodies+g.Unpacked, bytes+g.Bytes, max(oldest, g.Oldest)
				}
			}
		}
	}
	if len(waiting) == 0 {
		return
	}
	slices.Sort(waiting)
	problem("object store: the bodies of groups %s wait in the logs (%s, %d MiB, the oldest for %s): %s. Mail is accepted "+
		"until the disk's soft limit",
		strings.Join(waiting, ", "), plural.Of(bodies, "body"), bytes>>20, time.Duration(oldest)*time.Second, why)
}

// waiting fills in for how long each group's oldest body has waited.
func (p *Parts) waiting(groups []adminapi.GroupStatus, reports map[rookery.NodeID]peers.Report, now time.Time) {
	for i := range groups {
		for _, r := range reports {
			if k, ok := r.Packing[groups[i].Group]; ok && k.Oldest > 0 {
				groups[i].Oldest = max(groups[i].Oldest, int64(now.Sub(time.Unix(0, k.Oldest)).Seconds()))
			}
		}
	}
}
