package consensus

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// forget takes everything from a stopped replica's disk but what Forget keeps.
func (c *testCluster) forget(n *testNode) {
	c.t.Helper()
	n.log = n.disk.open(c.t)
	node, err := New(Options{Node: rookery.NodeID(n.name), Logger: quiet(),
		Log:       func(rookery.GroupID) (LogStore, error) { return n.log, nil },
		Transport: func(rookery.GroupID) (Transport, error) { return nil, errors.New("none") }})
	if err != nil {
		c.t.Fatal(err)
	}
	err = node.Forget(testGroup, n.machine, func() error {
		n.machine = newJournal()
		last, err := n.log.LastIndex()
		if err != nil {
			return err
		}
		return n.log.DeleteRange(1, last)
	})
	if err != nil {
		c.t.Fatal(err)
	}
	n.disk.close(c.t)
}

func (c *testCluster) remove(leader, gone *testNode) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	if err := leader.group.Remove(ctx, rookery.NodeID(gone.name)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *testCluster) addMember(leader *testNode, s Server) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	s.Address = string(s.ID)
	if err := leader.group.Add(ctx, s); err != nil {
		c.t.Fatal(err)
	}
}

// other is a node that is none of these.
func (c *testCluster) other(not ...*testNode) *testNode {
	for _, n := range c.nodes {
		found := false
		for _, x := range not {
			found = found || x == n
		}
		if !found {
			return n
		}
	}
	return nil
}

// A member sleeps through a move: what was acknowledged meanwhile was so by
// the votes of the one that left and of the one that stayed. The one that left
// was forgotten and comes back empty. With its vote the sleeper would lead, and
// take back what was acknowledged. withoutTrace leaves the trace out: the
// mutant that the test must catch.
func sleeperLeads(t *testing.T, withoutTrace bool) bool {
	c := newClusterOn(t, 3, newRealDisk, nil)
	leader := c.leader()
	c.converge(c.apply("before"))
	left := c.other(leader)
	sleeper := c.other(leader, left)
	c.stop(sleeper)
	index := c.apply("acknowledged", sleeper)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := left.group.Wait(ctx, index); err != nil {
		t.Fatal(err)
	}
	fourth := c.add("n3", nil)
	lead := c.leader(sleeper, fourth)
	if lead != leader { // the roles are as they came
		leader, left = lead, leader
	}
	c.addMember(leader, Server{ID: "n3"})
	c.remove(leader, left)
	c.stop(left)
	c.forget(left)
	if withoutTrace {
		log := left.disk.open(t)
		if err := dropTrace(log); err != nil {
			t.Fatal(err)
		}
		left.disk.close(t)
	}

	// Everybody who knows what was acknowledged is out of reach.
	c.net.setCut(leader.name, true)
	c.net.setCut(fourth.name, true)
	c.start(left, nil)
	c.start(sleeper, nil)
	time.Sleep(20 * time.Second)
	led := sleeper.group.IsLeader()
	if led != (sleeper.group.raft.State() == raft.Leader) {
		t.Fatal("state and answer differ")
	}
	// Without the trace there are two histories now, which must not meet: the
	// library ends the process where a follower's committed entries are cut off.
	if !withoutTrace {
		c.net.setCut(leader.name, false)
		c.net.setCut(fourth.name, false)
		// Placed here again it catches up, votes, and its vote counts.
		leader = c.leader(sleeper, left)
		c.addMember(leader, Server{ID: rookery.NodeID(left.name), Learner: true})
		c.converge(c.apply("after", sleeper, left))
		for range 100 { // the last of it comes after the entry is shown
			if left.group.held.Load() == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if left.group.held.Load() != nil {
			t.Error("it has caught up and is held still")
		}
		if _, found, err := ReadTrace(left.log); found || err != nil {
			t.Errorf("it has caught up and its trace is there: %v", err)
		}
		c.addMember(leader, Server{ID: rookery.NodeID(left.name)})
		c.remove(leader, sleeper)
		c.net.setCut(sleeper.name, true)
		index := c.apply("three voters", sleeper)
		rest := c.other(leader, left, sleeper)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := errors.Join(left.group.Wait(ctx, index), rest.group.Wait(ctx, index)); err != nil {
			t.Fatal(err)
		}
		c.net.setCut(leader.name, true)
		index = c.apply("by its vote", leader, sleeper)
		if err := errors.Join(left.group.Wait(ctx, index), rest.group.Wait(ctx, index)); err != nil {
			t.Error(err)
		}
		c.net.setCut(leader.name, false)
		c.net.setCut(sleeper.name, false)
	}
	c.close()
	return led
}

func TestForgottenReplicaVotesLikeTheOneItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if sleeperLeads(t, false) {
			t.Error("a member that lacks what was acknowledged led by the vote of a replica that was forgotten")
		}
	})
}

func TestForgottenReplicaWithoutTraceIsCaught(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if !sleeperLeads(t, true) {
			t.Error("the trace was taken out and nothing noticed")
		}
	})
}

// A replica that was forgotten and got the group's oldest entries again finds
// itself its only voter in them. It must not lead by that.
func TestForgottenReplicaDoesNotLeadByOldEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		n := c.nodes[0]
		c.apply("one")
		c.apply("two")
		var old []*raft.Log
		for i := uint64(1); i <= 3; i++ {
			var l raft.Log
			if err := n.log.GetLog(i, &l); err != nil {
				t.Fatal(err)
			}
			old = append(old, &l)
		}
		c.stop(n)
		c.forget(n)
		if err := n.log.StoreLogs(old); err != nil {
			t.Fatal(err)
		}
		c.start(n, nil)
		time.Sleep(time.Hour)
		if n.group.IsLeader() {
			t.Error("it leads by a configuration of long ago")
		}
		err := n.group.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: "n0", Address: "n0"}}}).Error()
		if err == nil {
			t.Error("it was begun anew")
		}
		c.close()
	})
}

func TestForgetGoesOnAfterACut(t *testing.T) {
	log := logOf(t, 5, 20)
	m := at(10, 2)
	n, err := New(Options{Node: "n0", Logger: quiet(), Log: func(rookery.GroupID) (LogStore, error) { return log, nil },
		Transport: func(rookery.GroupID) (Transport, error) { return nil, errors.New("none") }})
	if err != nil {
		t.Fatal(err)
	}
	cut := errors.New("cut off")
	half := func() error {
		if last, err := log.LastIndex(); err != nil || last == 0 {
			return errors.Join(err, cut)
		}
		return errors.Join(log.DeleteRange(5, 20), cut)
	}
	want := Trace{Term: 2, Last: 20, Erasing: true}
	for range 2 { // the second time there is nothing left to tell where it ended
		if err := n.Forget(testGroup, m, half); !errors.Is(err, cut) {
			t.Fatal(err)
		}
		if got, found, err := ReadTrace(log); !found || err != nil || got != want {
			t.Fatalf("%+v, %v, %v; want %+v", got, found, err, want)
		}
		if _, err := n.Start(t.Context(), testGroup, m, nil); !rookery.Is(err, rookery.KindConflict) {
			t.Fatalf("half erased it starts: %v", err)
		}
	}
	if err := n.Forget(testGroup, m, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	want.Erasing = false
	if got, found, err := ReadTrace(log); !found || err != nil || got != want {
		t.Fatalf("%+v, %v, %v; want %+v", got, found, err, want)
	}
	// It came back, is not as far as it was, and leaves again.
	for i := uint64(1); i <= 4; i++ {
		if err := log.StoreLog(&raft.Log{Index: i, Term: 1, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Forget(testGroup, at(0, 0), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := ReadTrace(log); got != want {
		t.Fatalf("%+v, want %+v: it forgot how far it once was", got, want)
	}
}
