// Package accountmove carries an account from one mail group to another while
// it serves: it copies the rows and bodies into the target, follows what
// changes meanwhile by the marks that the source keeps, takes the account out
// of service for the last of them, and lets the target serve.
//
// It owns the order of the commands and nothing else: what is decided lies in
// the three state machines, so that another node goes on where one has died. A
// coordinator takes a turn at both ends, and what an earlier one still sends is
// refused. The commit point is SwitchMove in the system group: before it a move
// can be abandoned, after it only be finished. It never decides which account
// moves where, and never reads what a message says.
package accountmove

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/propose"
	"rookery/storage/system"
)

// Log is the road of commands, see account.Log.
type Log interface {
	Apply(ctx context.Context, group rookery.GroupID, cmd []byte) (rookery.LogIndex, []byte, error)
	Barrier(ctx context.Context, group rookery.GroupID) error
	Wait(ctx context.Context, group rookery.GroupID, index rookery.LogIndex) error
}

// Options are what a Mover is made of. All but Frozen, Logger and Clock are
// required.
type Options struct {
	Log Log
	// Machine gives a group's machine; nil where this node has no replica.
	Machine func(rookery.GroupID) *mailbox.Machine
	System  *system.Machine
	// ReadBody fills p with bytes of a stored body, encoded as it lies in the
	// log or in a pack.
	ReadBody func(ctx context.Context, group rookery.GroupID, b mailbox.Body, p []byte, off int64) error
	// Node and Epoch name this life of this node in stage ids.
	Node  rookery.NodeID
	Epoch uint64
	// Frozen is how long an account may be out of service before the move is
	// abandoned; default 20 s.
	Frozen time.Duration
	Logger *slog.Logger
	Clock  func() time.Time
}

// Mover carries accounts. Its methods may be called concurrently, for
// different accounts.
type Mover struct {
	o      Options
	chunk  int // bytes of rows in one command, about
	stages atomic.Uint64

	mu     sync.Mutex
	frozen map[command.MoveID]pause
	// staging are the stages on their way.
	staging map[command.StageID]bool
}

// pause is what this node knows of an account that is out of service.
type pause struct {
	since time.Time
	rows  uint64 // that moved, once they were counted
}

// New makes a Mover. It does no I/O.
func New(o Options) *Mover {
	if o.Frozen <= 0 {
		o.Frozen = 20 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Mover{o: o, chunk: 256 << 10, frozen: map[command.MoveID]pause{}, staging: map[command.StageID]bool{}}
}

// Carries reports whether a stage is still on its way from here. Once it is
// not, it never is again.
func (m *Mover) Carries(id command.StageID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.staging[id]
}

// carries notes whether a stage is on its way: from before its first chunk is
// sent until nothing is sent of it any more.
func (m *Mover) carries(id command.StageID, on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if on {
		m.staging[id] = true
	} else {
		delete(m.staging, id)
	}
}

// Run carries a move, as the system group has it now, to its end. It is called
// where the source group leads. After a temporary error (KindUnavailable,
// KindUnknown, KindConflict: another coordinator may be at it) the caller reads
// the move again and, while it is there, calls again.
func (m *Mover) Run(ctx context.Context, x system.AccountMove) error {
	switch x.State {
	case system.MoveAbandoned:
		return m.unwind(ctx, x)
	case system.MoveSwitched:
		err := m.finish(ctx, x)
		if !rookery.Is(err, rookery.KindNotFound) && !rookery.Is(err, rookery.KindConflict) {
			return err
		}
		// The target has lost its copy with its majority, or had it opened again
		// by an earlier coordinator: the source still has everything.
	}
	err := m.carry(ctx, x)
	if why := m.hopeless(x, err); why != "" && ctx.Err() == nil {
		m.o.Logger.Warn("the move of an account is given up", "account", x.Account, "to", x.To, "reason", why)
		if err := m.system(ctx, &command.AbandonMove{Account: x.Account, Move: x.Move, Reason: why}); err != nil {
			return err
		}
		return m.unwind(ctx, x)
	}
	return err
}

// hopeless is why a move that is not decided is to be abandoned, if it is.
func (m *Mover) hopeless(x system.AccountMove, err error) string {
	if err == nil || x.State != system.MoveCopying {
		return ""
	}
	m.mu.Lock()
	p, frozen := m.frozen[x.Move]
	m.mu.Unlock()
	switch rookery.KindOf(err) {
	case rookery.KindDamaged, rookery.KindInvalid, rookery.KindExists, rookery.KindLimit:
		return err.Error()
	case rookery.KindMoved:
		return "the account is not in its group: " + err.Error()
	}
	if frozen && m.o.Clock().Sub(p.since) >= m.o.Frozen {
		return fmt.Sprintf("the account was out of service for %v without getting on: %v", m.o.Frozen, err)
	}
	if errors.Is(err, errErased) {
		return errErased.Error()
	}
	return ""
}

var errErased = errors.New("the account was erased")

// isFrozen notes since when an account is out of service.
func (m *Mover) isFrozen(id command.MoveID) (deadline time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.frozen[id]
	if !ok {
		p.since = m.o.Clock()
		m.frozen[id] = p
	}
	return p.since.Add(m.o.Frozen)
}

// counted notes how many rows an account that is out of service has.
func (m *Mover) counted(id command.MoveID, rows uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.frozen[id]
	p.rows = rows
	m.frozen[id] = p
}

// thawed tells what was known of an account that serves again.
func (m *Mover) thawed(id command.MoveID) pause {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.frozen[id]
	delete(m.frozen, id)
	return p
}

// finish lets the target serve and clears up. KindNotFound, KindConflict: there
// is no sealed copy.
func (m *Mover) finish(ctx context.Context, x system.AccountMove) error {
	if _, err := m.apply(ctx, x.To, &command.Activate{Account: x.Account, Move: x.Move}); err != nil {
		return err
	}
	now := m.o.Clock()
	p := m.thawed(x.Move)
	if _, err := m.apply(ctx, x.From, &command.MoveGone{Account: x.Account, Move: x.Move}); err != nil {
		return rookery.E("clear up after a move", rookery.KindUnavailable, err)
	}
	err := m.system(ctx, &command.EndMove{Account: x.Account, Move: x.Move})
	if err == nil {
		story := []any{"account", x.Account, "from", x.From, "to", x.To}
		if !p.since.IsZero() { // else another node took it out of service
			story = append(story, "rows", p.rows, "out_of_service", now.Sub(p.since))
		}
		m.o.Logger.Info("an account has moved", story...)
	}
	return err
}

// unwind lets the source serve again and removes the copy.
func (m *Mover) unwind(ctx context.Context, x system.AccountMove) error {
	if _, err := m.apply(ctx, x.From, &command.MoveStop{Account: x.Account, Move: x.Move}); err != nil {
		return err
	}
	m.thawed(x.Move)
	if _, err := m.apply(ctx, x.To, &command.ImportDrop{Account: x.Account, Move: x.Move, From: x.From}); err != nil {
		return err
	}
	return m.system(ctx, &command.EndMove{Account: x.Account, Move: x.Move})
}

func (m *Mover) system(ctx context.Context, c command.Command) error {
	_, err := m.apply(ctx, rookery.SystemGroup, c)
	return err
}

// apply has a group agree on a command and waits until that shows here, where
// the group has a replica here.
func (m *Mover) apply(ctx context.Context, group rookery.GroupID, c command.Command) (command.Result, error) {
	result, index, err := propose.Command(ctx, m.o.Log, group, c)
	if err != nil {
		return nil, rookery.E("move account", 0, err)
	}
	if group == rookery.SystemGroup || m.o.Machine(group) != nil {
		if err := m.o.Log.Wait(ctx, group, index); err != nil {
			return nil, rookery.E("move account", rookery.KindUnknown, err)
		}
	}
	return result, nil
}
