package consensus

import (
	"sync"

	"rookery"
)

// tail remembers the sizes of the newest applied entries, so that what Raft
// keeps for followers can be bounded in bytes although it counts entries.
type tail struct {
	mu    sync.Mutex
	sizes []uint32 // ring, MaxTrailing long once used
	next  int
	count int
}

func (t *tail) add(entries []rookery.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sizes == nil {
		t.sizes = make([]uint32, MaxTrailing)
	}
	for i := range entries {
		t.sizes[t.next] = uint32(len(entries[i].Data))
		t.next = (t.next + 1) % len(t.sizes)
		t.count = min(t.count+1, len(t.sizes))
	}
}

// entriesWithin is how many of the newest entries have at most limit bytes,
// never fewer than minTrailing. What was applied before the start counts as
// nothing, which errs towards keeping.
func (t *tail) entriesWithin(limit int64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, at := 0, t.next; n < t.count; n++ {
		at = (at - 1 + len(t.sizes)) % len(t.sizes)
		if limit -= int64(t.sizes[at]); limit < 0 {
			return max(uint64(n), minTrailing)
		}
	}
	return MaxTrailing
}
