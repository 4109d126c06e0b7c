// Package senders says of accounts that have sent mail how they stand now: whether
// what they wanted to go later may go, and where their owners get mail today. It
// asks the map of accounts and the directory, and remembers whom it has found
// disabled.
//
// It never takes a directory that does not answer for one that says no, and holds
// or sends nothing.
package senders

import (
	"context"
	"sync"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/storage/system"
)

// Directory says how entries stand, and gives them by their keys.
type Directory interface {
	Standing(ctx context.Context, keys []string) (map[string]directory.Standing, error)
	ByKey(ctx context.Context, key string) (directory.Entry, error)
}

// Senders knows accounts that have sent mail. All fields of New are required; its
// methods may be called concurrently.
type Senders struct {
	system    *system.Machine
	upToNow   func(ctx context.Context) error
	directory Directory

	mu    sync.Mutex
	known map[string]bool // entries that were disabled or gone when last asked about
}

const (
	// wait bounds one question.
	wait = 10 * time.Second
	// maxKnown bounds the entries that are remembered.
	maxKnown = 10_000
)

// New makes a Senders. upToNow waits until the map has all that was agreed on. It
// does no I/O.
func New(m *system.Machine, upToNow func(ctx context.Context) error, d Directory) *Senders {
	return &Senders{system: m, upToNow: upToNow, directory: d, known: map[string]bool{}}
}

// Disabled reports whether an account is disabled, or gone with its entry or by an
// erasure. Where the directory cannot say it, what it said last counts.
func (s *Senders) Disabled(ctx context.Context, id rookery.AccountID) bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	p, err := s.system.Account(id)
	if rookery.Is(err, rookery.KindNotFound) {
		if s.upToNow(ctx) != nil {
			return false
		}
		p, err = s.system.Account(id)
	}
	switch {
	case rookery.Is(err, rookery.KindNotFound), err != nil && p.Account == id: // erased, or being so
		return true
	case err != nil || p.DirectoryKey == "":
		return false
	}
	said, _ := s.directory.Standing(ctx, []string{p.DirectoryKey}) // what it cannot say is not there
	s.mu.Lock()
	defer s.mu.Unlock()
	switch how := said[p.DirectoryKey]; {
	case how == directory.Present:
		delete(s.known, p.DirectoryKey)
	case how != 0 && len(s.known) < maxKnown:
		s.known[p.DirectoryKey] = true
	case how != 0:
		return true
	}
	return s.known[p.DirectoryKey]
}

// Address is where the owner of an account gets mail today, who has sent as an
// address: there, while it is one of the owner's, or the owner has no
// primary one, else at that. KindNotFound: there is no such account, or the directory
// has its owner no more.
func (s *Senders) Address(ctx context.Context, id rookery.AccountID, was rookery.Address) (a rookery.Address, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	p, err := s.system.Account(id)
	if err != nil {
		return a, err
	}
	e, err := s.directory.ByKey(ctx, p.DirectoryKey)
	switch {
	case err != nil:
		return a, err
	case e.Has(directory.Base(was)) || e.Has(was) || e.Primary == rookery.Address{}:
		return was, nil
	}
	return e.Primary, nil
}
