package imap

import "rookery"

// slot is what connections are counted by.
type slot struct {
	account rookery.AccountID
	peer    string
}

// acquire counts a session's connection; false: there are too many.
func (srv *Server) acquire(s *session, k slot) bool {
	most := 64
	if srv.o.SessionsPerUser != nil {
		most = srv.o.SessionsPerUser()
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.slots[k] >= most {
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
