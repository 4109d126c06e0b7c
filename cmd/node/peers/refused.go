package peers

import (
	"maps"
	"slices"
	"sync"
	"time"

	"rookery"
)

// refusedFor is for how long a removed node that tried to come back is shown.
const refusedFor = 24 * time.Hour

// refused remembers whom this node refused for good since it started: members
// that were started from an older copy of their directory, until a newer one
// runs, and removed nodes. Both end at once and tell nobody else; bounded by the
// certificates that the cluster has issued.
type refused struct {
	mu       sync.Mutex
	older    map[rookery.NodeID]bool
	returned map[rookery.NodeID]time.Time
}

func (r *refused) judged(n rookery.NodeID, older bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.older == nil {
		r.older = map[rookery.NodeID]bool{}
	}
	if r.older[n] = true; !older {
		delete(r.older, n)
	}
}

func (r *refused) cameBack(n rookery.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.returned == nil {
		r.returned = map[rookery.NodeID]time.Time{}
	}
	r.returned[n] = time.Now()
}

// Superseded are the members that this node has refused for an older copy of
// their data directory.
func (p *Peers) Superseded() []rookery.NodeID {
	p.refused.mu.Lock()
	defer p.refused.mu.Unlock()
	return slices.Sorted(maps.Keys(p.refused.older))
}

// Returned are the removed nodes that called here within a day, and when last.
func (p *Peers) Returned() map[rookery.NodeID]time.Time {
	p.refused.mu.Lock()
	defer p.refused.mu.Unlock()
	maps.DeleteFunc(p.refused.returned, func(_ rookery.NodeID, at time.Time) bool { return time.Since(at) > refusedFor })
	return maps.Clone(p.refused.returned)
}
