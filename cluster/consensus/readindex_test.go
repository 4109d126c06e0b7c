package consensus

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// barrier is a way to learn whether a leader may serve a read, and of what.
type barrier func(context.Context, *Group) (rookery.LogIndex, error)

func ours(ctx context.Context, g *Group) (rookery.LogIndex, error) { return g.ReadIndex(ctx) }

// atOnce trusts the state of the moment.
func atOnce(_ context.Context, g *Group) (rookery.LogIndex, error) {
	if g.raft.State() != raft.Leader {
		return 0, ErrNotLeader
	}
	return rookery.LogIndex(g.raft.CommitIndex()), nil
}

// verifyLeader is the library's own barrier.
func verifyLeader(_ context.Context, g *Group) (rookery.LogIndex, error) {
	index := rookery.LogIndex(g.raft.CommitIndex())
	return index, g.raft.VerifyLeader().Error()
}

// staleRead makes a leader that does not know it was deposed: the answers
// to its heartbeats are on their way for a long time, given before its
// successor was elected and arriving after the successor acknowledged a
// write. It reports whether the barrier let it read without that write. open
// says whether the others can be asked meanwhile.
func staleRead(t *testing.T, open bool, read barrier) (violated bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// The leader's own lease is long, as for a process that was paused.
		c := newCluster(t, 3, func(o *Options) {
			o.Heartbeat = 4 * time.Second
			if o.Node == "n0" {
				o.Heartbeat = 2 * time.Second
			}
		})
		old := c.leader()
		next := c.nodes[(indexOf(c, old)+1)%3]
		c.apply("c0=v0")
		time.Sleep(time.Second)
		release := make(chan struct{})
		c.net.mu.Lock()
		c.net.hold[old.name] = release
		c.net.deaf[old.name] = true
		c.net.open = open
		c.net.mu.Unlock()
		for a, b := <-c.net.held, <-c.net.held; a == b; {
			b = <-c.net.held
		}
		// The others elect next without the old leader hearing of it.
		go old.group.raft.LeadershipTransferToServer(raft.ServerID(next.name), raft.ServerAddress(next.name))
		for next.group.raft.State() != raft.Leader {
			time.Sleep(time.Millisecond)
		}
		c.net.setCut(old.name, true)
		written, _, err := next.group.Apply(ctxFor(t, 5*time.Second), []byte("c1=v1"))
		if err != nil {
			t.Fatal(err)
		}
		if old.group.raft.State() != raft.Leader {
			t.Fatal("the old leader knows already: the scenario is void")
		}
		type answer struct {
			index rookery.LogIndex
			err   error
		}
		got := make(chan answer, 1)
		go func() {
			index, err := read(ctxFor(t, 5*time.Second), old.group)
			got <- answer{index, err}
		}()
		time.Sleep(20 * time.Millisecond)
		c.net.mu.Lock()
		delete(c.net.hold, old.name)
		delete(c.net.deaf, old.name)
		c.net.mu.Unlock()
		close(release)
		a := <-got
		violated = a.err == nil && a.index < written
		c.net.setCut(old.name, false)
		c.close()
	})
	return violated
}

func indexOf(c *testCluster, n *testNode) int {
	for i := range c.nodes {
		if c.nodes[i] == n {
			return i
		}
	}
	return -1
}

func TestDeposedLeaderServesNoRead(t *testing.T) {
	for _, open := range []bool{true, false} {
		if staleRead(t, open, ours) {
			t.Errorf("a deposed leader confirmed a read that misses an acknowledged write (others reachable: %v)", open)
		}
	}
}

// The scenario must catch the barriers it is there to catch.
func TestStaleReadScenarioCatchesWeakBarriers(t *testing.T) {
	if !staleRead(t, true, atOnce) {
		t.Error("a barrier without a question to anyone was not caught")
	}
	if !staleRead(t, true, verifyLeader) {
		t.Error("the library's barrier was not caught")
	}
}

func TestReadersShareRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		index := c.apply("c0=v0")
		lead := c.leader()
		c.net.mu.Lock()
		before := c.net.asked
		c.net.mu.Unlock()
		const readers = 200
		errs := make(chan error, readers)
		for range readers {
			go func() {
				got, err := lead.group.ReadIndex(ctxFor(t, 5*time.Second))
				if err == nil && got < index {
					t.Errorf("read index %d is below %d, acknowledged before", got, index)
				}
				errs <- err
			}()
		}
		for range readers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		c.net.mu.Lock()
		asked := c.net.asked - before
		c.net.mu.Unlock()
		if asked > 3*2 { // the round under way, the one they share, and one for the slow
			t.Errorf("%d readers asked %d questions", readers, asked)
		}
		c.close()
	})
}

// Every index a leader hands out is one that machines reach, on all
// replicas, also right after elections and without further writes.
func TestReadIndexIsReachedEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		for range 5 {
			lead := c.leader()
			index, err := lead.group.ReadIndex(ctxFor(t, 5*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			c.converge(index)
			next := c.nodes[(indexOf(c, lead)+1)%3]
			if err := lead.group.Transfer(ctxFor(t, 5*time.Second), rookery.NodeID(next.name)); err != nil {
				t.Fatal(err)
			}
		}
		c.close()
	})
}
