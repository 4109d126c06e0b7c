package delivery

import (
	"sync"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/queue"
)

// Bounds of the fan-out.
const (
	// workers is how many messages are filed at once in a lane.
	workers = 8
	// waiting bounds the rows that wait in a lane. What is beyond is found
	// again.
	waiting = 4096
	// confirmedFor is how long a barrier of a group says which of its rows
	// are open: it takes so much off the time of an attempt.
	confirmedFor = 10 * time.Second
)

// lane is the way of messages from the group that owes them to another. A
// group that does not answer holds up its own lanes only.
type lane struct{ home, to rookery.GroupID }

// heard is a row that a machine has told of.
type heard struct {
	home rookery.GroupID
	queue.Due
}

// fanout is what is to be filed and searched for on this node. It says what is
// to begin, each row once at a time, and begins nothing itself.
type fanout struct {
	wake chan struct{} // something is to begin; room for one

	mu    sync.Mutex
	heard []heard
	lanes map[lane]*backlog
	homes map[rookery.GroupID]*searching
	sure  map[rookery.GroupID]time.Time // when a barrier last said what is open
}

// backlog is a lane's work.
type backlog struct {
	next []queue.Ref
	// known are the rows that wait or are being filed, under the zero time,
	// and those that failed, with when to try again.
	known   map[queue.Ref]time.Time
	workers int
	more    bool // some found no room
}

// searching is whether a group is searched for due rows, or to be.
type searching struct{ now, want bool }

func newFanout() *fanout {
	return &fanout{wake: make(chan struct{}, 1), lanes: map[lane]*backlog{}, homes: map[rookery.GroupID]*searching{},
		sure: map[rookery.GroupID]time.Time{}}
}

func (f *fanout) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// tell notes a group's new rows for told; where there are too many, it is
// searched instead.
func (f *fanout) tell(home rookery.GroupID, rows []queue.Due) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.heard) >= waiting {
		f.want(home)
		return
	}
	for _, x := range rows {
		if x.Kind == command.ToGroup {
			f.heard = append(f.heard, heard{home, x})
			f.poke()
		}
	}
}

// told gives the rows since the last call.
func (f *fanout) told() []heard {
	f.mu.Lock()
	defer f.mu.Unlock()
	heard := f.heard
	f.heard = nil
	return heard
}

// add notes a row of a group in its lane, unless it is known there.
func (f *fanout) add(home rookery.GroupID, x queue.Due, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := lane{home, x.Group}
	q := f.lanes[l]
	if q == nil {
		q = &backlog{known: map[queue.Ref]time.Time{}}
		f.lanes[l] = q
	}
	if again, known := q.known[x.Ref]; known && (again.IsZero() || now.Before(again)) {
		return
	}
	if len(q.known) >= waiting {
		q.more = true
		return
	}
	q.known[x.Ref] = time.Time{}
	q.next = append(q.next, x.Ref)
	f.poke()
}

// search notes that a group's state may hold rows that are not known here.
func (f *fanout) search(home rookery.GroupID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.want(home)
}

func (f *fanout) want(home rookery.GroupID) {
	s := f.homes[home]
	if s == nil {
		s = &searching{}
		f.homes[home] = s
	}
	s.want = true
	f.poke()
}

// begin gives a lane for each worker to start, and the groups to search. The
// caller starts all of them.
func (f *fanout) begin() (start []lane, search []rookery.GroupID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l, q := range f.lanes {
		for n := min(len(q.next), workers-q.workers); n > 0; n-- {
			q.workers++
			start = append(start, l)
		}
	}
	for home, s := range f.homes {
		if s.want && !s.now {
			s.want, s.now = false, true
			search = append(search, home)
		}
	}
	return start, search
}

// take gives a worker its next row; false ends it.
func (f *fanout) take(l lane) (x queue.Ref, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.lanes[l]
	if len(q.next) > 0 {
		x, q.next = q.next[0], q.next[1:]
		return x, true
	}
	q.workers--
	if q.more {
		q.more = false
		f.want(l.home)
	}
	if q.workers == 0 && len(q.known) == 0 {
		delete(f.lanes, l)
	}
	return x, false
}

// done lets go of a row; one that failed not before a time.
func (f *fanout) done(l lane, x queue.Ref, again time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if again.IsZero() {
		delete(f.lanes[l].known, x)
	} else {
		f.lanes[l].known[x] = again
	}
}

// searched ends a search, and lets go of failures whose time is over.
func (f *fanout) searched(home rookery.GroupID, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.homes[home]; s.want {
		s.now = false
		f.poke()
	} else {
		delete(f.homes, home)
	}
	for l, q := range f.lanes {
		if l.home != home {
			continue
		}
		for x, again := range q.known {
			if !again.IsZero() && !now.Before(again) {
				delete(q.known, x)
			}
		}
		if q.workers == 0 && len(q.known) == 0 {
			delete(f.lanes, l)
		}
	}
}

// confirmed is when a barrier of a group last said which of its rows are
// open, unless that is too long ago.
func (f *fanout) confirmed(home rookery.GroupID, now time.Time) (at time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok = f.sure[home]
	return at, ok && now.Sub(at) < confirmedFor
}

// confirm notes a barrier that began at a time.
func (f *fanout) confirm(home rookery.GroupID, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sure[home] = at
}
