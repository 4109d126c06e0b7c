package edge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/directory"
	"rookery/storage/command"
	"rookery/storage/system"
)

const (
	// signInsEvery is how often sign-ins are noted in the cluster, all of a node
	// with one command.
	signInsEvery = time.Minute
	// signInStands is how long the sign-in that is noted of an account stands:
	// the next one is noted when it is over.
	signInStands = time.Hour
	// maxSignIns bounds the accounts whose sign-in is not noted yet.
	maxSignIns = 100_000
)

// SignIns remembers the last sign-in of each account on this node until it is
// noted: at most once an hour for an account, so that sign-ins cost no entry of
// the log each. What is not noted when the node stops is lost.
type SignIns struct {
	replicas *replicas.Replicas
	system   *system.Machine
	clock    func() time.Time
	logger   *slog.Logger

	mu   sync.Mutex
	seen map[rookery.AccountID]system.SignIn
}

func newSignIns(o Options) *SignIns {
	return &SignIns{replicas: o.Replicas, system: o.Replicas.System(), clock: o.Clock, logger: o.Logger,
		seen: map[rookery.AccountID]system.SignIn{}}
}

// saw hears of a sign-in. One of an entry without an account, as at a submission
// before the first mail, is of nobody.
func (s *SignIns) saw(protocol string, e directory.Entry) {
	p, err := s.system.ByKey(e.Key)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.seen[p.Account]; known || len(s.seen) < maxSignIns {
		s.seen[p.Account] = system.SignIn{Time: s.clock().UnixNano(), Protocol: protocol}
	}
}

// Last is an account's last sign-in: as it is noted, or as this node has it since.
func (s *SignIns) Last(id rookery.AccountID) (system.SignIn, error) {
	noted, err := s.system.LastSignIn(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if seen := s.seen[id]; seen.Time > noted.Time {
		return seen, err
	}
	return noted, err
}

func (s *SignIns) run(ctx context.Context) error {
	return s.replicas.Follow(ctx, signInsEvery, func() {
		due := s.Due(s.clock())
		if len(due) == 0 {
			return
		}
		if _, err := s.replicas.ProposeSystem(ctx, &command.NoteSignIns{SignIns: due}); err != nil {
			s.logger.Warn("sign-ins could not be noted; trying again in a minute", "accounts", len(due), "error", err)
			return
		}
		s.Noted(due)
	})
}

// Due are sign-ins to note: as many as one command takes.
func (s *SignIns) Due(now time.Time) (due []command.SignIn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, seen := range s.seen {
		noted, err := s.system.LastSignIn(id)
		if err != nil || now.UnixNano()-noted.Time < int64(signInStands) {
			continue
		}
		if due = append(due, command.SignIn{Account: id, Time: seen.Time, Protocol: seen.Protocol}); len(due) == command.MaxSignIns {
			break
		}
	}
	return due
}

// Noted drops what is noted, but for accounts that have signed in again.
func (s *SignIns) Noted(noted []command.SignIn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range noted {
		if s.seen[x.Account].Time == x.Time {
			delete(s.seen, x.Account)
		}
	}
}
