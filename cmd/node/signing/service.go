package signing

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/protocols/outbound/dkim"
	"rookery/protocols/outbound/publish"
	"rookery/storage/command"
	"rookery/storage/system"
)

// Groups are those of this node; replicas.Replicas are.
type Groups interface {
	Leads(rookery.GroupID) bool
	Barrier(ctx context.Context, id rookery.GroupID) error
	Commit(ctx context.Context, id rookery.GroupID, c command.Command) error
	Follow(ctx context.Context, every time.Duration, step func(), of ...replicas.Topic) error
}

// Keys gives the sealed keys of all domains; system.Machine does.
type Keys interface {
	SigningKeys() ([]system.SigningKeys, error)
}

// Sealer closes and opens private keys; keyring.Sealer does.
type Sealer interface {
	Seal(place, secret string) (string, error)
	Open(place, sealed string) (string, error)
	IsCurrent(sealed string) bool
}

// Options are what a Service is made of. All but Schedule and Logger are required.
type Options struct {
	Groups Groups
	Keys   Keys
	Sealer Sealer
	// Resolver is asked whether the record of a later key is published.
	Resolver publish.Resolver
	// Changed wakes who follows replicas.TopicSigning.
	Changed func()
	// Schedule says how keys follow one another; zero is dkim.DefaultSchedule.
	Schedule dkim.Schedule
	Logger   *slog.Logger
	Clock    func() time.Time
}

// Service signs, and tends keys where its node leads. It is safe for concurrent
// use.
type Service struct {
	o       Options
	domains atomic.Pointer[map[string]bool]
	signers atomic.Pointer[map[string]*signer]

	looked map[string]time.Time // when a record was last looked for, by its name; for Run alone

	loading sync.Mutex // one load after the other
}

// New makes a Service that signs for nobody yet. It does no I/O.
func New(o Options) *Service {
	if o.Schedule == (dkim.Schedule{}) {
		o.Schedule = dkim.DefaultSchedule()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{o: o, looked: map[string]time.Time{}}
	s.domains.Store(&map[string]bool{})
	s.signers.Store(&map[string]*signer{})
	return s
}

// Use has it sign for these mail domains, and no others.
func (s *Service) Use(domains []string) {
	ours := make(map[string]bool, len(domains))
	for _, d := range domains {
		if normal, err := rookery.NormalDomain(d); err == nil {
			ours[normal] = true
		}
	}
	s.domains.Store(&ours)
	s.o.Changed()
}

// every is how often the keys are looked at without being told.
const every = 10 * time.Second

// Run keeps the opened keys up with the cluster's, and tends these where this
// node leads, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	return s.o.Groups.Follow(ctx, every, func() {
		if err := s.Load(); err != nil {
			s.o.Logger.Error("the DKIM keys cannot be read; trying again", "error", err)
			return
		}
		if !s.o.Groups.Leads(rookery.SystemGroup) {
			return
		}
		if err := s.tend(ctx); err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("the DKIM keys cannot be brought up to date; trying again", "error", err)
		}
	}, replicas.TopicSigning)
}
