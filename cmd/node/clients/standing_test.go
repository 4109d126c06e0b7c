package clients

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"rookery/directory"
	"rookery/protocols/listen"
)

// hall is a server with sessions of directory entries.
type hall struct {
	open  []listen.Session
	ended map[string]string
}

func (h *hall) Clients() []listen.Session { return h.open }

func (h *hall) EndClients(pick func(listen.Session) bool, why string) (n int) {
	h.open = slices.DeleteFunc(h.open, func(c listen.Session) bool {
		if pick(c) {
			h.ended[c.Entry] = why
			n++
			return true
		}
		return false
	})
	return n
}

// book is a directory where who is not in it is gone.
type book struct {
	standing map[string]directory.Standing
	broken   error
	asked    []int
}

func (b *book) Standing(_ context.Context, keys []string) (map[string]directory.Standing, error) {
	b.asked = append(b.asked, len(keys))
	if b.broken != nil {
		return nil, b.broken
	}
	said := map[string]directory.Standing{}
	for _, k := range keys {
		if said[k] = b.standing[k]; said[k] == 0 {
			said[k] = directory.Gone
		}
	}
	return said, nil
}

func (b *book) Copied([]string) map[string]directory.Standing { return nil }

type looks struct {
	s       *Service
	h       *hall
	b       *book
	missing map[string]bool
}

func newLooks(people int) *looks {
	l := &looks{h: &hall{ended: map[string]string{}}, b: &book{standing: map[string]directory.Standing{}}, missing: map[string]bool{}}
	for i := range people {
		key := fmt.Sprint("d/", i)
		l.h.open = append(l.h.open, listen.Session{ID: key, Entry: key}, listen.Session{ID: key + "b", Entry: key})
		l.b.standing[key] = directory.Present
	}
	l.s = &Service{o: Options{Edge: l.h, Directory: l.b, Logger: slog.New(slog.DiscardHandler)}}
	return l
}

func (l *looks) look(ctx context.Context) { l.s.end(l.s.look(ctx, l.s.entries()), l.missing) }

// Sessions end of who is disabled at one look, and of who is gone at two.
func TestDisabledAndGoneAreSentAway(t *testing.T) {
	l := newLooks(5)
	l.b.standing["d/1"] = directory.Disabled
	delete(l.b.standing, "d/2")
	l.look(t.Context())
	if len(l.h.ended) != 1 || l.h.ended["d/1"] != entryDisabled || len(l.h.open) != 8 {
		t.Errorf("after one look: %v", l.h.ended)
	}
	l.b.broken = errors.New("no answer")
	l.look(t.Context())
	l.b.broken = nil
	l.look(t.Context())
	if len(l.h.ended) != 2 || l.h.ended["d/2"] != entryGone || len(l.h.open) != 6 {
		t.Errorf("after two looks: %v", l.h.ended)
	}
	delete(l.b.standing, "d/3")
	l.look(t.Context())
	l.b.standing["d/3"] = directory.Present // it was on its way
	l.look(t.Context())
	delete(l.b.standing, "d/3")
	l.look(t.Context())
	if len(l.h.ended) != 2 {
		t.Errorf("gone at two looks that do not follow each other: %v", l.h.ended)
	}
}

// What the copy says counts at the first look.
func TestTheCopySendsAway(t *testing.T) {
	l := newLooks(5)
	l.s.endCopied(map[string]directory.Standing{"d/1": directory.Disabled, "d/2": directory.Gone, "d/3": directory.Present})
	if len(l.h.ended) != 2 || l.h.ended["d/1"] != entryDisabled || l.h.ended["d/2"] != entryGone {
		t.Errorf("sent away: %v", l.h.ended)
	}
}

// Nobody is sent away by a directory that does not answer, or one that suddenly
// shows nobody.
func TestADirectoryThatCannotSayEndsNothing(t *testing.T) {
	l := newLooks(50)
	l.b.broken = errors.New("time out")
	for range 5 {
		l.look(t.Context())
	}
	l.b.broken, l.b.standing = nil, map[string]directory.Standing{"d/7": directory.Disabled}
	for range 5 {
		l.look(t.Context())
	}
	if len(l.h.ended) != 1 || l.h.ended["d/7"] == "" {
		t.Errorf("sent away: %v", l.h.ended)
	}
}

// Ten thousand sessions cost a hundred searches a look, one at a time.
func TestLooksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLooks(10_000)
		l.look(t.Context())
		if len(l.b.asked) != 100 || slices.Max(l.b.asked) > standingPage {
			t.Errorf("%d searches of up to %d entries", len(l.b.asked), slices.Max(l.b.asked))
		}
	})
}
