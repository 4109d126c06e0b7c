package figures

import (
	"slices"
	"sync/atomic"
	"time"

	"rookery"
)

// Stats are what a node's part in the backup has come to, for the metrics.
type Stats struct {
	// Groups are those that the node leads and archives.
	Groups []GroupStats
	// Written counts bytes put into the backup store, Requests what it was asked, by
	// request, since the node started.
	Written  int64
	Requests map[string]int64
	// Failed counts steps of archiving that failed since the node started; each is
	// repeated.
	Failed int64
	// Restores are under way here.
	Restores int
}

// GroupStats are those of one group.
type GroupStats struct {
	Group rookery.GroupID
	// Lag is the age of the oldest committed entry that the archive does not have.
	Lag time.Duration
	// Image is when the newest image was made, Oldest from when on every second can be
	// restored; zero until they are known.
	Image, Oldest time.Time
}

var requests = [...]string{"put", "get", "stat", "list", "delete"}

// Requests counts what the backup store was asked, and the bytes written to it.
type Requests struct {
	counts  [len(requests)]atomic.Int64
	written atomic.Int64
}

// Note is told of every request.
func (a *Requests) Note(request string, err error, bytes int64, _ time.Duration) {
	if i := slices.Index(requests[:], request); i >= 0 {
		a.counts[i].Add(1)
	}
	if request == "put" && err == nil {
		a.written.Add(bytes)
	}
}

// Totals are the bytes written and the requests, by request.
func (a *Requests) Totals() (written int64, by map[string]int64) {
	by = map[string]int64{}
	for i, request := range requests {
		by[request] = a.counts[i].Load()
	}
	return a.written.Load(), by
}
