package imap

import (
	"sync"
	"time"

	"rookery"
)

// slot is what connections are counted by.
type slot struct {
	account rookery.AccountID
	peer    string
}

// acquire counts a session's connection; false: there are too many.
func (srv *Server) acquire(s *session, k slot) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.slots[k] >= srv.limits.PerAccountIP {
		return false
	}
	srv.slots[k]++
	s.slot = k
	return true
}

func (srv *Server) release(s *session) {
	if s.slot == (slot{}) {
		return
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.slots[s.slot]--; srv.slots[s.slot] <= 0 {
		delete(srv.slots, s.slot)
	}
	s.slot = slot{}
}

// failures remembers failed sign-ins by (name, address), so that a client
// that connects anew is delayed as one that stays.
type failures struct {
	mu sync.Mutex
	by map[string]failure
}

type failure struct {
	count int
	last  time.Time
}

// maxFailures bounds the memory; failureMemory is how long one counts.
const (
	maxFailures   = 20_000
	failureMemory = 15 * time.Minute
)

// add counts a failure and gives the delay before its answer.
func (f *failures) add(key string, delay time.Duration, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = make(map[string]failure)
	}
	e := f.by[key]
	if now.Sub(e.last) > failureMemory {
		e.count = 0
	}
	if e.count == 0 && len(f.by) >= maxFailures {
		for k := range f.by { // any will do: maps begin anywhere
			delete(f.by, k)
			break
		}
	}
	e.count, e.last = e.count+1, now
	f.by[key] = e
	return delay << min(e.count-1, 4)
}

func (f *failures) forget(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.by, key)
}
