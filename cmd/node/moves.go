package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/storage/accountmove"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// Bounds and times of the moves of accounts.
const (
	// movesAtOnce bounds the accounts that one node carries at once.
	movesAtOnce = 4
	// movesEvery is how often moves are looked for without being told.
	movesEvery = time.Second
	// leftoversEvery is how often the groups led here are searched for what
	// late commands of moves that have ended left.
	leftoversEvery = 30 * time.Second

	moveRetryFirst = 100 * time.Millisecond
	moveRetryMost  = 5 * time.Second
)

// movers carries accounts out of the groups that this node leads. Which move
// there is and how far lies in the machines: a node that comes to lead goes on
// where another left off.
type movers struct {
	node  *Node
	mover *accountmove.Mover

	mu      sync.Mutex
	running map[command.MoveID]*carrying
}

// carrying is one account under way.
type carrying struct {
	stop context.CancelFunc
	from rookery.GroupID
	err  error // of the last try
}

func newMovers(n *Node) *movers {
	m := &movers{node: n, running: map[command.MoveID]*carrying{}}
	m.mover = accountmove.New(accountmove.Options{Log: n.groups, Machine: n.groups.Machine, System: n.system, ReadBody: n.objects.Reader.ReadChecked,
		Node: n.id.Node, Epoch: n.id.Epoch, Frozen: n.deps.tuning.frozen, Logger: n.deps.Logger, Clock: n.deps.Clock})
	return m
}

// run looks for moves until ctx ends, and waits for those that it carries.
func (m *movers) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	searched := time.Now()
	return m.node.groups.Follow(ctx, movesEvery, func() {
		m.look(ctx, &wg)
		if time.Since(searched) >= leftoversEvery {
			searched = time.Now()
			m.leftovers(ctx)
		}
	}, replicas.TopicPlacement)
}

// look begins what is to be done here, the oldest first, and ends what is not
// any more.
func (m *movers) look(ctx context.Context, wg *sync.WaitGroup) {
	m.mu.Lock()
	for _, c := range m.running {
		if !m.node.groups.Leads(c.from) {
			c.stop()
		}
	}
	m.mu.Unlock()
	moves, err := m.node.system.Moves()
	if err != nil {
		m.node.deps.Logger.Error("the moves of accounts cannot be read", "error", err)
		return
	}
	slices.SortFunc(moves, func(a, b system.AccountMove) int { return int(int64(a.Move) - int64(b.Move)) })
	for _, x := range moves {
		if !m.node.groups.Leads(x.From) {
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
func (m *movers) carry(ctx context.Context, x system.AccountMove) {
	for wait := moveRetryFirst; m.node.groups.Leads(x.From); wait = min(2*wait, moveRetryMost) {
		now, err := m.node.system.Move(x.Account)
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
		m.node.deps.Logger.Warn("the move of an account does not get on yet; trying again", "account", x.Account, "from", x.From, "to", x.To, "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// activate lets an account serve here that was decided to be here while its
// former group does not answer.
func (m *movers) activate(ctx context.Context, wg *sync.WaitGroup, x system.AccountMove) {
	if x.State != system.MoveSwitched || !m.node.groups.Leads(x.To) {
		return
	}
	at := m.node.groups.Machine(x.To)
	if at == nil || !slices.ContainsFunc(m.moving(at), func(y mailbox.Moving) bool {
		return y.Account == x.Account && y.Move == x.Move && y.State == mailbox.MoveSealed
	}) {
		return
	}
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		m.propose(ctx, x.To, &command.Activate{Account: x.Account, Move: x.Move})
	})
}

func (m *movers) moving(at *mailbox.Machine) []mailbox.Moving {
	all, err := at.Moving()
	if err != nil {
		m.node.deps.Logger.Error("the moves of a group cannot be read", "error", err)
	}
	return all
}

func (m *movers) propose(ctx context.Context, group rookery.GroupID, c command.Command) {
	if err := m.node.groups.Commit(ctx, group, c); err != nil && ctx.Err() == nil {
		m.node.deps.Logger.Warn("a move of an account cannot be settled yet", "group", group, "error", err)
	}
}

// leftovers ends in the groups led here what belongs to moves that have ended:
// a command that was on its way for long may have begun it anew.
func (m *movers) leftovers(ctx context.Context) {
	for _, group := range m.node.groups.Here() {
		at := m.node.groups.Machine(group)
		if at == nil || !m.node.groups.Leads(group) {
			continue
		}
		found := m.moving(at)
		if len(found) == 0 {
			continue
		}
		// What began these, began before the barrier.
		if err := m.node.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
			return
		}
		for _, x := range found {
			m.leftover(ctx, group, x)
		}
	}
}

func (m *movers) leftover(ctx context.Context, group rookery.GroupID, x mailbox.Moving) {
	move, err := m.node.system.Move(x.Account)
	if err == nil && move.Move == x.Move || err != nil && !rookery.Is(err, rookery.KindNotFound) {
		return // under way
	}
	place, err := m.node.system.Account(x.Account)
	if err != nil && !rookery.Is(err, rookery.KindNotFound) {
		return
	}
	out, here := x.State <= mailbox.MoveFrozen, err == nil && place.Group == group
	switch {
	case out && (here || err != nil):
		m.propose(ctx, group, &command.MoveStop{Account: x.Account, Move: x.Move})
	case !out && !here:
		m.propose(ctx, group, &command.ImportDrop{Account: x.Account, Move: x.Move, From: x.Group})
	default:
		m.node.deps.Logger.Error("an account's move has ended without being settled", "account", x.Account, "group", group, "state", x.State.String())
	}
}

// trouble is why a move does not get on here.
func (m *movers) trouble(id command.MoveID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.running[id]; c != nil {
		return c.err
	}
	return nil
}
