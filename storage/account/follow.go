package account

import (
	"context"
	"errors"
	"time"

	"rookery"
)

// Accounts move between groups while they are in use. Whoever asks in the old
// group is told so (KindMoved); the map of the system group then says where the
// account is, and what was asked is asked there.
const (
	// moveWait is how long a command waits for an account on its way. Longer
	// than a move keeps one out of service, shorter than clients wait.
	moveWait = 15 * time.Second
	// viewWait is how long a view does: it may hold a session up.
	viewWait = 5 * time.Second

	followFirst = 10 * time.Millisecond
	followMost  = 200 * time.Millisecond
)

// Group is the Raft group the account lives in, as far as this handle has
// heard.
func (a *Account) Group() rookery.GroupID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.group
}

func (a *Account) setGroup(g rookery.GroupID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.group = g
}

// refresh takes over what the map says on this node by now. The map here never
// goes back.
func (a *Account) refresh() {
	if place, err := a.store.o.System.Account(a.id); err == nil {
		a.setGroup(place.Group)
	}
}

// following runs fn in the account's group, and again where the account was
// moved meanwhile, until it has arrived or the wait is over: then the error is
// KindMoved.
func (a *Account) following(ctx context.Context, most time.Duration, fn func(rookery.GroupID) error) error {
	began := time.Now()
	for wait := followFirst; ; wait = min(2*wait, followMost) {
		group := a.Group()
		err := fn(group)
		switch {
		case errors.Is(err, errAway):
			if a.refresh(); a.Group() == group {
				return err
			}
			continue
		case !rookery.Is(err, rookery.KindMoved) || time.Since(began) >= most:
			return err
		}
		moved, ferr := a.follow(ctx, group)
		if ferr != nil {
			return ferr
		}
		if moved {
			wait = followFirst
			continue
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// follow asks the map, as it is for certain, whether the account is elsewhere.
// If so, and the new group has a replica here, that has heard of the account
// when follow returns.
func (a *Account) follow(ctx context.Context, from rookery.GroupID) (moved bool, err error) {
	if err := a.store.o.Log.Barrier(ctx, rookery.SystemGroup); err != nil {
		return false, rookery.E("follow a moved account", rookery.KindUnavailable, err)
	}
	place, err := a.store.o.System.Account(a.id)
	if err != nil {
		return false, rookery.E("follow a moved account", 0, err)
	}
	if place.Group == from {
		return false, nil
	}
	if a.store.o.Machine(place.Group) != nil {
		if err := a.store.o.Log.Barrier(ctx, place.Group); err != nil {
			return false, rookery.E("follow a moved account", rookery.KindUnavailable, err)
		}
	}
	a.setGroup(place.Group)
	return true, nil
}

// Patiently runs fn, which does its work as a whole or not at all, until its
// error is not KindMoved any more, for at most 15 s: then the error is that one.
// Before each new try this node knows of every move that was decided; where it
// cannot learn of them, the error is KindUnavailable.
func (s *Store) Patiently(ctx context.Context, fn func() error) error {
	began := time.Now()
	for wait := followFirst; ; wait = min(2*wait, followMost) {
		err := fn()
		if !rookery.Is(err, rookery.KindMoved) || time.Since(began) >= moveWait {
			return err
		}
		if berr := s.o.Log.Barrier(ctx, rookery.SystemGroup); berr != nil {
			return rookery.E("follow a moved account", rookery.KindUnavailable, berr)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}
