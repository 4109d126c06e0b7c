package trace

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/daykey"
	"rookery/storage/propose"
	"rookery/storage/state"
	"rookery/storage/trace"
)

// Options are what a Service is made of. All are required.
type Options struct {
	Replicas *replicas.Replicas
	Peers    *peers.Peers
	Days     *daykey.Store
	Recent   *Recent
	// Groups are the mail groups of the cluster.
	Groups func() []rookery.GroupID
	// Now is the time by which a group's lines are old; an error where nobody knows.
	Now    func(rookery.GroupID) (time.Time, error)
	Logger *slog.Logger
	Clock  func() time.Time
}

// Service answers what became of messages.
type Service struct {
	o     Options
	lines *replicas.Question[peers.TraceQuery, peers.TracePage]
}

// New makes a Service, which answers other nodes from now on.
func New(o Options) *Service {
	s := &Service{o: o}
	s.lines = replicas.NewQuestion(o.Replicas, peers.TraceLines, lineWait, s.linesHere)
	peers.RecentLines.Serve(o.Peers, func(_ context.Context, _ rookery.NodeID, q peers.RecentQuery) (peers.Recents, error) {
		if q.Limit < 1 || q.Limit > maxLimit {
			return peers.Recents{}, rookery.E("list refusals", rookery.KindInvalid, errors.New("malformed question"))
		}
		return o.Recent.Find(q)
	})
	return s
}

// lineWait bounds a page of another node.
const lineWait = 30 * time.Second

// What is kept of messages: for how long, and at most in all groups together.
const (
	keptFor   = 30 * 24 * time.Hour
	keptBytes = 4 << 30
)

// upkeep is how often what is old is dropped.
const upkeep = time.Hour

// Run drops what is old until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	defer s.o.Recent.Close()
	t := time.NewTicker(upkeep)
	defer t.Stop()
	for {
		for _, g := range s.o.Replicas.Here() {
			if !s.o.Replicas.Leads(g) {
				continue
			}
			if err := s.drop(ctx, g); err != nil && ctx.Err() == nil {
				s.o.Logger.Warn("the trace of old messages is not dropped yet; trying again", "group", g, "error", err)
			}
		}
		if err := s.o.Recent.Forget(); err != nil {
			s.o.Logger.Warn("old refusals are not removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// dropLines is how many lines one command drops.
const dropLines = 2000

// drop drops the lines of a group that are too old, or too many.
func (s *Service) drop(ctx context.Context, g rookery.GroupID) error {
	now, err := s.o.Now(g)
	if err != nil {
		return err
	}
	before, err := s.before(g, now)
	if err != nil {
		return err
	}
	for ctx.Err() == nil && before > 0 {
		r, _, err := propose.As[*command.PurgeResult](ctx, s.o.Replicas, g, &command.DropTrace{Before: before, Most: dropLines})
		if err != nil || !r.More {
			return err
		}
	}
	return ctx.Err()
}

// before is the group time from before which lines go; 0 where none does. What is
// too much goes by days, and of the last day all but the last hour.
func (s *Service) before(g rookery.GroupID, now time.Time) (before int64, err error) {
	m := s.o.Replicas.Machine(g)
	if m == nil {
		return 0, nil
	}
	var oldest int64
	var days map[uint32]trace.Tally
	err = m.Queue(func(r state.Reader) (err error) {
		if oldest, err = trace.Oldest(r); err == nil {
			days, err = trace.Days(r)
		}
		return err
	})
	if err != nil || oldest == 0 {
		return 0, err
	}
	if limit := now.Add(-keptFor).UnixNano(); oldest < limit {
		before = limit
	}
	sum, most := uint64(0), uint64(keptBytes/max(len(s.o.Groups()), 1))
	const day = int64(24 * time.Hour)
	today := uint32(now.UnixNano() / day)
	for d := today + 1; d+60 > today; d-- {
		if sum += days[d].Bytes; sum <= most {
			continue
		}
		end := min(int64(d+1)*day, now.Add(-time.Hour).UnixNano())
		return max(before, end), nil
	}
	return before, nil
}
