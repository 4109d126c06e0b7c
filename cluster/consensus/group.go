package consensus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/semaphore"

	"rookery"
)

// Group is this node's replica of one Raft group.
type Group struct {
	id        rookery.GroupID
	node      *Options
	raft      *raft.Raft
	machine   Machine
	logger    *slog.Logger
	fsm       *fsm
	backlog   *backlog
	snapshots *snapshots
	tail      tail
	waits     waits
	rounds    rounds
	inFlight  *semaphore.Weighted
	contacts  *contacts // nil with one member

	started     chan struct{} // closed once raft is set
	closed      chan struct{} // closed when the group is shut down
	stopping    atomic.Bool
	held        atomic.Pointer[Trace] // what an earlier replica forbids; nil for most
	work        sync.WaitGroup        // every goroutine of the group's own
	transfers   sync.WaitGroup        // of leadership, which Raft must answer before it ends
	snapshotNow chan struct{}
	sinceBytes  atomic.Int64 // applied since the last snapshot was asked for
	lean        atomic.Bool  // see Squeeze

	mu           sync.Mutex
	readyTerm    uint64        // term in which this node leads and has applied an entry of
	readyChanged chan struct{} // closed and replaced when readyTerm or leadership changes
	watchers     []chan struct{}
}

// ID is the group's name.
func (g *Group) ID() rookery.GroupID { return g.id }

// Machine is what Start was given.
func (g *Group) Machine() Machine { return g.machine }

// Wait returns when index is applied and visible on this node. The error is
// KindUnavailable: ctx ended or the group was closed before.
func (g *Group) Wait(ctx context.Context, index rookery.LogIndex) error {
	return g.waits.wait(ctx, g.closed, index)
}

// applied is told of every batch the machine has taken.
func (g *Group) applied(index rookery.LogIndex, bytes int64) {
	g.waits.advance(index)
	if g.sinceBytes.Add(bytes) >= g.node.SnapshotBytes {
		select {
		case g.snapshotNow <- struct{}{}:
			g.sinceBytes.Store(0)
		default:
		}
	}
}

// run starts the goroutines that live as long as the group.
func (g *Group) run(notify <-chan bool) {
	observed := make(chan raft.Observation, 16)
	observer := raft.NewObserver(observed, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	g.raft.RegisterObserver(observer)
	g.work.Go(func() {
		defer g.raft.DeregisterObserver(observer)
		for {
			select {
			case leads := <-notify:
				if leads {
					term := g.raft.CurrentTerm()
					g.logger.Info("elected", "term", term)
					g.work.Go(func() { g.becomeReady(term) })
				}
				g.wakeWatchers()
			case o := <-observed:
				if last := g.raft.LastContact(); o.Data == raft.Candidate && !last.IsZero() {
					g.logger.Info("stands for election", "silence", time.Since(last).Round(time.Millisecond))
				}
				g.wakeWatchers()
			case <-g.closed:
				return
			}
		}
	})
	g.work.Go(func() {
		for {
			select {
			case <-g.snapshotNow:
				err := g.raft.Snapshot().Error()
				if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) && !errors.Is(err, raft.ErrRaftShutdown) {
					g.logger.Warn("the log could not be released for truncation", "error", err)
				}
			case <-g.closed:
				return
			}
		}
	})
}

// trim bounds what Raft keeps for followers by bytes.
func (g *Group) trim() {
	<-g.started
	n := uint64(minTrailing)
	if !g.lean.Load() {
		n = g.tail.entriesWithin(g.node.TrailingBytes)
	}
	g.reload(func(c *raft.ReloadableConfig) { c.TrailingLogs = n })
}

// reload changes a part of Raft's configuration while it runs.
func (g *Group) reload(change func(*raft.ReloadableConfig)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	conf := g.raft.ReloadableConfig()
	was := conf
	if change(&conf); conf == was {
		return
	}
	if err := g.raft.ReloadConfig(conf); err != nil {
		g.logger.Error("could not change the configuration of Raft", "want", conf, "error", err)
	}
}

// Squeeze, while on, has Raft keep only its newest 64 applied entries and lets
// go of the rest at once, for a disk that is nearly full: followers further behind
// get an image. Without it a group that takes no more entries would release
// nothing. To be called again as long as the disk is short.
func (g *Group) Squeeze(on bool) {
	if g.lean.Store(on); on {
		select {
		case g.snapshotNow <- struct{}{}:
		default:
		}
	}
}

// close hands leadership over, ends the replica and waits for all of it.
func (g *Group) close(ctx context.Context) error {
	g.stopping.Store(true)
	if g.IsLeader() && g.voters() > 1 {
		g.handOver()
	}
	g.transfers.Wait()
	// Whoever applies now finds no room, and who applied before is answered.
	if g.inFlight.Acquire(ctx, g.node.MaxInFlight) == nil {
		defer g.inFlight.Release(g.node.MaxInFlight)
	}
	err := g.raft.Shutdown().Error()
	close(g.closed)
	g.rounds.close()
	g.work.Wait()
	g.closeWatchers()
	if err = errors.Join(err, g.machine.Sync()); err != nil {
		return rookery.E("close group", 0, err)
	}
	return nil
}

// handOver ends when Raft has answered: within an election timeout of having
// taken the transfer up, which its end waits for anyway. Left behind in Raft's
// queue it would never be answered.
func (g *Group) handOver() {
	if err := g.raft.LeadershipTransfer().Error(); err != nil {
		g.logger.Warn("could not hand over leadership before closing", "error", err)
	}
}
