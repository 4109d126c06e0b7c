package clients

import (
	"context"
	"time"

	"rookery/cmd/node/replicas"
	"rookery/directory"
	"rookery/protocols/listen"
)

const (
	// standingEvery is how often the directory is asked about the entries of all
	// who have a session here: disabled ones go after one look, those that are
	// gone after two, so that a server that is behind sends nobody away.
	standingEvery = 15 * time.Second
	// standingPage is how many entries one search asks about.
	standingPage = 100
	// standingWait bounds one search.
	standingWait = 10 * time.Second
	// believed is how many entries may be gone at one look whatever the share of
	// all: beyond it, more than half gone is taken for a fault of the directory.
	believed = 20
)

// What clients are told whom the directory sends away.
const (
	entryDisabled = "The account is disabled"
	entryGone     = "The account is not in the directory any more"
)

// followStanding ends the sessions of entries that the directory has disabled
// or has no more.
func (s *Service) followStanding(ctx context.Context) error {
	missing := map[string]bool{} // at the last look that could say
	return s.o.Replicas.Follow(ctx, standingEvery, func() {
		keys := s.entries()
		for key := range missing {
			if !keys[key] {
				delete(missing, key)
			}
		}
		s.end(s.look(ctx, keys), missing)
	})
}

// followCopies ends the sessions of entries that are disabled or gone in the cluster's
// copy of their directory, as soon as it changes: of those the directory has said so
// itself, and the copy's brake has let it through.
func (s *Service) followCopies(ctx context.Context) {
	s.o.Replicas.Follow(ctx, standingEvery, func() {
		var keys []string
		for key := range s.entries() {
			keys = append(keys, key)
		}
		s.endCopied(s.o.Directory.Copied(keys))
	}, replicas.TopicPeople)
}

// endCopied ends sessions by what a copy says.
func (s *Service) endCopied(standing map[string]directory.Standing) {
	gone := map[string]bool{}
	for key, how := range standing {
		gone[key] = how == directory.Gone
	}
	s.end(standing, gone)
}

// entries are the keys of those who have a session here.
func (s *Service) entries() map[string]bool {
	keys := map[string]bool{}
	for _, c := range s.o.Edge.Clients() {
		if key := s.entryOf(c); key != "" {
			keys[key] = true
		}
	}
	return keys
}

// entryOf is the entry a client's account belongs to now.
func (s *Service) entryOf(c listen.Session) string {
	if c.Entry != "" {
		return c.Entry
	}
	p, err := s.system.Account(c.Account)
	if err != nil {
		return ""
	}
	return p.DirectoryKey
}

// look asks how entries stand, a page at a time, spread over half the time until
// the next look. What the directory cannot say is not in the answer.
func (s *Service) look(ctx context.Context, keys map[string]bool) map[string]directory.Standing {
	standing := map[string]directory.Standing{}
	pause := standingEvery / 2 / time.Duration(len(keys)/standingPage+1)
	var page []string
	ask := func() {
		ctx, cancel := context.WithTimeout(ctx, standingWait)
		defer cancel()
		said, err := s.o.Directory.Standing(ctx, page)
		if err != nil {
			s.o.Logger.Debug("the directory cannot say how the owners of sessions stand", "entries", len(page), "error", err)
		}
		for key, how := range said {
			standing[key] = how
		}
		page = nil
	}
	for key := range keys {
		if page = append(page, key); len(page) < standingPage {
			continue
		}
		ask()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
	if len(page) > 0 {
		ask()
	}
	return standing
}

// end ends the sessions of entries by how they stand. missing are those that
// were gone at the look before, and are now.
func (s *Service) end(standing map[string]directory.Standing, missing map[string]bool) {
	why := map[string]string{}
	gone := 0
	for key, how := range standing {
		switch {
		case how == directory.Disabled:
			why[key] = entryDisabled
		case how == directory.Gone && missing[key]:
			why[key] = entryGone
		}
		if how == directory.Gone {
			gone++
			missing[key] = true
		} else {
			delete(missing, key)
		}
	}
	if gone > believed && 2*gone > len(standing) {
		s.o.Logger.Error("the directory says that more than half of those who have a session are gone; none is ended for it",
			"gone", gone, "of", len(standing), "mend", "see whether the service account may still read them; end sessions with: rookery session end")
		for key, text := range why {
			if text == entryGone {
				delete(why, key)
			}
		}
	}
	for _, text := range []string{entryDisabled, entryGone} {
		s.o.Edge.EndClients(func(c listen.Session) bool {
			key := s.entryOf(c)
			if key == "" || why[key] != text {
				return false
			}
			s.o.Logger.Info("session ended", "protocol", c.Protocol, "session", c.ID, "user", c.Login, "client", c.Addr, "entry", key, "why", text)
			return true
		}, text)
	}
}
