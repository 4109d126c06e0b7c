package outbound

import (
	"sync"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/queue"
)

// Bounds of what is kept in memory: a row takes about 200 bytes there. What finds
// no room stays in the queue and is found again.
const (
	maxKnown    = 100_000 // rows
	maxBacklog  = 5_000   // rows of one destination
	maxWorkers  = 200     // on this node
	maxParcel   = 100     // rows of one transaction (RFC 5321 4.5.3.1.8)
	maxToldRows = 20_000
)

// place is a row of a group.
type place struct {
	group rookery.GroupID
	queue.Ref
}

// parcel is what goes in one transaction: rows of one item with one next hop.
type parcel struct {
	group rookery.GroupID
	item  command.ItemID
	rows  []uint32
}

// destination is a next hop with what waits for it.
type destination struct {
	hop     Hop
	waiting []parcel
	rows    int // in waiting
	workers int
	// limit is how many may work for it: it grows with success, and shrinks
	// where the peer has enough.
	limit int
	// down is until when nothing is tried after the peer could not be reached,
	// and failures how often that was so in a row.
	down     time.Time
	failures uint32
	reason   queue.Heard
	// ours is the last failure that is ours or our route's to mend, and that
	// nothing was sent after.
	ours queue.Heard
}

// told is what a group has queued.
type told struct {
	group rookery.GroupID
	rows  []queue.Due
}

// pending is what waits in memory. It starts nothing itself.
type pending struct {
	woken chan struct{} // room for one

	mu      sync.Mutex
	news    []told
	newRows int
	known   map[place]bool
	to      map[string]*destination
	workers int
}

func newPending() *pending {
	return &pending{woken: make(chan struct{}, 1), known: map[place]bool{}, to: map[string]*destination{}}
}

func (p *pending) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// tell notes rows that a group has just queued; too many are left to be found.
func (p *pending) tell(group rookery.GroupID, rows []queue.Due) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.newRows+len(rows) <= maxToldRows {
		p.news = append(p.news, told{group, rows})
		p.newRows += len(rows)
	}
	p.wake()
}

// told gives what was told of since the last call.
func (p *pending) told() []told {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := p.news
	p.news, p.newRows = nil, 0
	return news
}

// unknown reports whether a row is not in memory yet, and may come.
func (p *pending) unknown(x place) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.known[x] && len(p.known) < maxKnown
}

// full reports whether no more rows are taken.
func (p *pending) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.known) >= maxKnown
}

// add has a row sent to a destination, unless it is known or finds no room.
func (p *pending) add(x place, hop Hop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.to[hop.key()]
	if d == nil {
		d = &destination{hop: hop, limit: 1}
		p.to[hop.key()] = d
	}
	d.hop = hop // its password may have changed
	if p.known[x] || len(p.known) >= maxKnown || d.rows >= maxBacklog {
		return
	}
	p.known[x] = true
	d.rows++
	if n := len(d.waiting); n > 0 {
		if last := &d.waiting[n-1]; last.group == x.group && last.item == x.Item && len(last.rows) < maxParcel {
			last.rows = append(last.rows, x.N)
			return
		}
	}
	d.waiting = append(d.waiting, parcel{x.group, x.Item, []uint32{x.N}})
}

// start gives a destination for each worker to begin. Each destination may have
// as many as it has earned, up to most; and fewer than it has parcels.
func (p *pending) start(most int) (begin []*destination) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, d := range p.to {
		if len(d.waiting) == 0 && d.workers == 0 && d.failures == 0 && d.ours.Time == 0 {
			delete(p.to, key)
			continue
		}
		for d.workers < min(d.limit, max(most, 1), (len(d.waiting)+1)/2+1) && len(d.waiting) > d.workers && p.workers < maxWorkers {
			d.workers++
			p.workers++
			begin = append(begin, d)
		}
	}
	return begin
}

// take gives a worker the next parcels, of one group, and the hop as it is now;
// none ends it.
func (p *pending) take(d *destination) ([]parcel, Hop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(d.waiting) == 0 {
		return nil, d.hop
	}
	n, rows := 0, 0
	share := min(max(len(d.waiting)/max(d.limit, 1), 1), 20)
	for n < len(d.waiting) && n < share && d.waiting[n].group == d.waiting[0].group && rows+len(d.waiting[n].rows) <= command.MaxRows {
		rows += len(d.waiting[n].rows)
		n++
	}
	batch := d.waiting[:n:n]
	d.waiting = d.waiting[n:]
	d.rows -= rows
	return batch, d.hop
}

// ended notes that a worker is no more.
func (p *pending) ended(d *destination) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.workers--
	p.workers--
	p.wake()
}

// forget lets go of rows: what became of them is recorded.
func (p *pending) forget(group rookery.GroupID, rows []queue.Ref) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range rows {
		delete(p.known, place{group, x})
	}
}

// forgetRows lets go of rows that a notification has ended; of a delay it ends
// none.
func (p *pending) forgetRows(group rookery.GroupID, rows []result, delay bool) {
	if delay {
		return
	}
	refs := make([]queue.Ref, len(rows))
	for i := range rows {
		refs[i] = rows[i].l.Ref
	}
	p.forget(group, refs)
}

// isDown reports whether a destination is not to be tried for now, and why.
func (p *pending) isDown(d *destination, now time.Time) (queue.Heard, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return d.reason, now.Before(d.down)
}

// reached notes whether a destination could be reached.
func (p *pending) reached(d *destination, ok bool, now time.Time, why queue.Heard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok {
		d.failures, d.down = 0, time.Time{}
		return
	}
	d.failures++
	d.limit = 1
	d.reason = why
	d.down = now.Add(min(time.Duration(1)<<min(d.failures, 6)*time.Second, time.Minute))
}

// blame notes what of ours kept a destination from getting mail; a time of 0 is
// that it got some.
func (p *pending) blame(d *destination, h queue.Heard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.ours = h
}

// ours gives the failures since a time that are ours to mend.
func (p *pending) ours(since time.Time) (all []Trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.to {
		switch {
		case d.ours.Time == 0:
		case d.ours.Time < since.UnixNano():
			d.ours = queue.Heard{}
		default:
			all = append(all, Trouble{d.hop.String(), d.ours})
		}
	}
	return all
}

// paced notes whether a destination took a transaction well; one that has enough
// gets fewer connections.
func (p *pending) paced(d *destination, well bool, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if well {
		d.limit = min(d.limit+1, max(most, 1))
	} else {
		d.limit = max(d.limit/2, 1)
	}
}
