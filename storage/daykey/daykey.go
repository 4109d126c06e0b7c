// Package daykey gives mail groups the keys of their days, under which the queue
// seals what it keeps of people who have no account here. It makes a day's key on
// first use, opens and caches keys, wraps them anew when the tenant key is
// rotated, and has those dropped that nothing is sealed under any more.
//
// It never reads or writes the queue's items, and keeps nothing on disk.
package daykey

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/propose"
	"rookery/storage/queue"
	"rookery/storage/state"
)

// Log has a group agree on commands, and waits for what others have had agreed;
// account.Log does.
type Log interface {
	Apply(ctx context.Context, group rookery.GroupID, cmd []byte) (rookery.LogIndex, []byte, error)
	Barrier(ctx context.Context, group rookery.GroupID) error
}

// Options are what a Store is made of. All but Fetch and Clock are required.
type Options struct {
	Log     Log
	Machine func(rookery.GroupID) *mailbox.Machine // nil: this node has no replica of the group
	Keys    *keys.Keyring
	// Fetch brings tenant keys that this node's keyring lacks from another
	// node. nil: nobody can be asked.
	Fetch func(context.Context) error
	// Clock says which day it is; default time.Now.
	Clock func() time.Time
}

// Store opens the keys of days. All methods may be called concurrently.
type Store struct {
	o      Options
	opened *lru.Cache[place, *keys.DayKey]
}

type place struct {
	group rookery.GroupID
	day   keys.Day
}

// maxOpened bounds the keys kept open: a year of a few groups.
const maxOpened = 2000

// New makes a Store. It does no I/O.
func New(o Options) *Store {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	s := &Store{o: o}
	s.opened, _ = lru.New[place, *keys.DayKey](maxOpened) // fails for a size below 1 only
	return s
}

// On is the day of a time, in UTC.
func On(t time.Time) keys.Day { return keys.Day(t.Unix() / (24 * 3600)) }

// Today gives the key of this day in a group, and makes it where there is none.
// It works for groups without a replica here. KindUnavailable: the group does not
// answer, or its tenant key is not here.
func (s *Store) Today(ctx context.Context, group rookery.GroupID) (keys.Day, *keys.DayKey, error) {
	day := On(s.o.Clock())
	if k, ok := s.opened.Get(place{group, day}); ok {
		return day, k, nil
	}
	wrapped, err := s.o.Keys.NewDayKey(group, day)
	if err != nil {
		return 0, nil, err
	}
	r, _, err := propose.Command(ctx, s.o.Log, group, &command.SetDayKey{Day: uint32(day), Key: wrapped})
	if err != nil {
		return 0, nil, err
	}
	k, err := s.open(ctx, group, day, r.(*command.DayKeyResult).Key)
	return day, k, err
}

// Open gives the key of a day in a group with a replica here. KindNotFound: it
// has none. KindUnavailable: no replica, or its tenant key is not here.
func (s *Store) Open(ctx context.Context, group rookery.GroupID, day keys.Day) (*keys.DayKey, error) {
	if k, ok := s.opened.Get(place{group, day}); ok {
		return k, nil
	}
	m := s.o.Machine(group)
	if m == nil {
		return nil, rookery.E("open key of a day", rookery.KindUnavailable, fmt.Errorf("group %d has no replica on this node", group))
	}
	var wrapped []byte
	err := m.Queue(func(r state.Reader) (err error) {
		wrapped, err = queue.KeyOf(r, uint32(day))
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.open(ctx, group, day, wrapped)
}

func (s *Store) open(ctx context.Context, group rookery.GroupID, day keys.Day, wrapped []byte) (*keys.DayKey, error) {
	k, err := s.o.Keys.OpenDay(group, day, wrapped)
	if rookery.Is(err, rookery.KindUnavailable) && s.o.Fetch != nil && s.o.Fetch(ctx) == nil {
		k, err = s.o.Keys.OpenDay(group, day, wrapped)
	}
	if err != nil {
		return nil, err
	}
	s.opened.Add(place{group, day}, k)
	return k, nil
}

// Rewrap wraps the keys of a group's days that are under an older tenant key
// anew under the one in use, and returns how many. It passes a barrier first.
func (s *Store) Rewrap(ctx context.Context, group rookery.GroupID) (done int, err error) {
	days, err := s.days(ctx, group)
	if err != nil {
		return 0, err
	}
	c := &command.RewrapDayKeys{}
	for day, d := range days {
		if keys.WrappedUnder(d.Key) >= s.o.Keys.Current() || len(c.Days) == command.MaxRows {
			continue
		}
		next, err := s.o.Keys.RewrapDay(group, keys.Day(day), d.Key)
		if rookery.Is(err, rookery.KindUnavailable) && s.o.Fetch != nil && s.o.Fetch(ctx) == nil {
			next, err = s.o.Keys.RewrapDay(group, keys.Day(day), d.Key)
		}
		if err != nil {
			return 0, err
		}
		c.Days = append(c.Days, command.RewrappedDay{Day: day, Old: d.Key, New: next})
	}
	if len(c.Days) == 0 {
		return 0, nil
	}
	_, _, err = propose.Command(ctx, s.o.Log, group, c)
	return len(c.Days), err
}

func (s *Store) days(ctx context.Context, group rookery.GroupID) (days map[uint32]queue.DayKey, err error) {
	m := s.o.Machine(group)
	if m == nil {
		return nil, rookery.E("list keys of days", rookery.KindUnavailable, fmt.Errorf("group %d has no replica on this node", group))
	}
	if err := s.o.Log.Barrier(ctx, group); err != nil {
		return nil, err
	}
	err = m.Queue(func(r state.Reader) (err error) {
		days, err = queue.Days(r)
		return err
	})
	return days, err
}

// Drop has the group drop the keys of days that are over and that nothing is
// sealed under.
func (s *Store) Drop(ctx context.Context, group rookery.GroupID) error {
	yesterday := On(s.o.Clock()) - 1 // who has just asked for today's may be late
	days, err := s.days(ctx, group)
	if err != nil {
		return err
	}
	for day, d := range days {
		if keys.Day(day) < yesterday && d.Idle() {
			s.opened.Remove(place{group, keys.Day(day)})
			_, _, err := propose.Command(ctx, s.o.Log, group, &command.DropDayKeys{Before: uint32(yesterday)})
			return err
		}
	}
	return nil
}
