package moves

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/replicas"
	"rookery/storage/accountmove"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// Service carries accounts out of the groups that this node leads. Which move
// there is and how far lies in the machines: a node that comes to lead goes on
// where another left off.
type Service struct {
	mover    *accountmove.Mover
	replicas *replicas.Replicas
	system   *system.Machine
	logger   *slog.Logger

	mu      sync.Mutex
	running map[command.MoveID]*carrying
}

// Options are what the service is made of.
type Options struct {
	ID       datadir.Identity
	Replicas *replicas.Replicas
	// ReadBody reads bodies wherever they are.
	ReadBody func(ctx context.Context, group rookery.GroupID, b mailbox.Body, p []byte, off int64) error
	// Frozen is how long an account may be out of service; 0 is the usual.
	Frozen time.Duration
	Logger *slog.Logger
	Clock  func() time.Time
}

// New makes the service.
func New(o Options) *Service {
	g := o.Replicas
	return &Service{
		mover: accountmove.New(accountmove.Options{
			Log: g, Machine: g.Machine, System: g.System(), ReadBody: o.ReadBody,
			Node: o.ID.Node, Epoch: o.ID.Epoch, Frozen: o.Frozen, Logger: o.Logger, Clock: o.Clock,
		}),
		replicas: g, system: g.System(), logger: o.Logger, running: map[command.MoveID]*carrying{},
	}
}

// Carries reports whether a move on this node still sends a stage.
func (m *Service) Carries(s command.StageID) bool { return m.mover.Carries(s) }

// Bounds and times of the moves of accounts.
const (
	// movesAtOnce bounds the accounts that one node carries at once.
	movesAtOnce = 4
	// movesEvery is how often moves are searched for without being told.
	movesEvery = time.Second
	// lateEvery is how often the groups led here are searched for what
	// late commands of moves that have ended left.
	lateEvery = 30 * time.Second

	moveRetryFirst = 100 * time.Millisecond
	moveRetryMost  = 5 * time.Second
)

// carrying is one account under way.
type carrying struct {
	stop context.CancelFunc
	from rookery.GroupID
	err  error // of the last try
}

// Run finds moves until ctx ends, and waits for those that it carries.
func (m *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	searched := time.Now()
	return m.replicas.Follow(ctx, movesEvery, func() {
		m.start(ctx, &wg)
		if time.Since(searched) >= lateEvery {
			searched = time.Now()
			m.endLate(ctx)
		}
	}, replicas.TopicPlacement)
}

// start begins what is to be done here, the oldest first, and ends what is not
// any more.
func (m *Service) start(ctx context.Context, wg *sync.WaitGroup) {
	m.mu.Lock()
	for _, c := range m.running {
		if !m.replicas.Leads(c.from) {
			c.stop()
		}
	}
	m.mu.Unlock()
	moves, err := m.system.Moves()
	if err != nil {
		m.logger.Error("the moves of accounts cannot be read", "error", err)
		return
	}
	slices.SortFunc(moves, func(a, b system.AccountMove) int { return int(int64(a.Move) - int64(b.Move)) })
	for _, x := range moves {
		if !m.replicas.Leads(x.From) {
			m.activate(ctx, wg, x)
			continue
		}
		m.mu.Lock()
		_, busy := m.running[x.Move]
		if busy || len(m.running) >= movesAtOnce {
			m.mu.Unlock()
			continue
		}
		mine, stop := context.WithCancel(ctx)
		m.running[x.Move] = &carrying{stop: stop, from: x.From}
		m.mu.Unlock()
		wg.Go(func() {
			defer stop()
			m.carry(mine, x)
			m.mu.Lock()
			delete(m.running, x.Move)
			m.mu.Unlock()
		})
	}
}

// carry tries until the move has ended or is another node's.
func (m *Service) carry(ctx context.Context, x system.AccountMove) {
	for wait := moveRetryFirst; m.replicas.Leads(x.From); wait = min(2*wait, moveRetryMost) {
		now, err := m.system.Move(x.Account)
		if rookery.Is(err, rookery.KindNotFound) || err == nil && now.Move != x.Move {
			return
		}
		if err == nil {
			err = m.mover.Run(ctx, now)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		m.mu.Lock()
		m.running[x.Move].err = err
		m.mu.Unlock()
		m.logger.Warn("the move of an account does not get on yet; trying again", "account", x.Account, "from", x.From, "to", x.To, "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// activate lets an account serve here that was decided to be here while its
// former group does not answer.
func (m *Service) activate(ctx context.Context, wg *sync.WaitGroup, x system.AccountMove) {
	if x.State != system.MoveSwitched || !m.replicas.Leads(x.To) {
		return
	}
	at := m.replicas.Machine(x.To)
	if at == nil || !slices.ContainsFunc(m.moving(at), func(y mailbox.Moving) bool {
		return y.Account == x.Account && y.Move == x.Move && y.State == mailbox.MoveSealed
	}) {
		return
	}
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		m.commit(ctx, x.To, &command.Activate{Account: x.Account, Move: x.Move})
	})
}

func (m *Service) moving(at *mailbox.Machine) []mailbox.Moving {
	all, err := at.Moving()
	if err != nil {
		m.logger.Error("the moves of a group cannot be read", "error", err)
	}
	return all
}

func (m *Service) commit(ctx context.Context, group rookery.GroupID, c command.Command) {
	if err := m.replicas.Commit(ctx, group, c); err != nil && ctx.Err() == nil {
		m.logger.Warn("a move of an account cannot be settled yet", "group", group, "error", err)
	}
}
