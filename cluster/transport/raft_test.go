package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cluster/transport"
	"rookery/cluster/transport/transporttest"
)

// lines is a machine that keeps every command as a line.
type lines struct {
	mu     sync.Mutex
	index  rookery.LogIndex
	term   uint64
	config []byte
	at     rookery.LogIndex
	text   []string
}

func (m *lines) Apply(entries []rookery.Entry) [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][]byte, len(entries))
	for i, e := range entries {
		if e.Index <= m.index {
			continue
		}
		m.index, m.term = e.Index, e.Term
		if e.Configuration != nil {
			m.config, m.at = bytes.Clone(e.Configuration), e.Index
		}
		if len(e.Data) > 0 {
			m.text = append(m.text, string(e.Data))
			out[i] = fmt.Append(nil, len(m.text))
		}
	}
	return out
}

func (m *lines) Applied() (rookery.LogIndex, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.index, m.term
}

func (m *lines) Configuration() ([]byte, rookery.LogIndex) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.config, m.at
}

func (m *lines) Sync() error { return nil }

func (m *lines) Snapshot() (consensus.Snapshot, error) { return nil, errors.New("not in this test") }

func (m *lines) Restore(io.Reader) error { return errors.New("not in this test") }

func (m *lines) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.text, " ")
}

// terms asks for terms by calls: what a node's Peers are.
type terms struct{ tr *transport.Transport }

func (p terms) CurrentTerm(ctx context.Context, s consensus.Server, group rookery.GroupID) (term uint64, err error) {
	b, err := p.tr.Call(ctx, s.ID, "raft/term", fmt.Append(nil, group))
	if err == nil {
		_, err = fmt.Sscan(string(b), &term)
	}
	return term, err
}

type replica struct {
	tr      *transport.Transport
	node    *consensus.Node
	group   *consensus.Group
	machine *lines
}

func (c *cluster) replica(ctx context.Context, tr *transport.Transport, group rookery.GroupID, members []consensus.Server) *replica {
	name, r := tr.Node(), &replica{tr: tr, machine: &lines{}}
	store := raft.NewInmemStore()
	var err error
	r.node, err = consensus.New(consensus.Options{
		Node: name, Logger: slog.New(slog.DiscardHandler), Peers: terms{r.tr},
		Log: func(rookery.GroupID) (consensus.LogStore, error) { return store, nil },
		Transport: func(id rookery.GroupID) (consensus.Transport, error) {
			s, err := transport.OpenRaft[raft.ServerAddress](r.tr, id)
			if err != nil {
				return nil, err
			}
			return consensus.NewNetworkTransport(id, s, slog.New(slog.DiscardHandler)), nil
		},
	})
	must(c.t, err)
	r.tr.Handle("raft/term", func(_ context.Context, _ rookery.NodeID, body []byte) ([]byte, error) {
		var id rookery.GroupID
		if _, err := fmt.Sscan(string(body), &id); err != nil {
			return nil, err
		}
		term, err := r.node.CurrentTerm(id)
		return fmt.Append(nil, term), err
	})
	r.tr.Handle("raft/apply", func(ctx context.Context, _ rookery.NodeID, body []byte) ([]byte, error) {
		_, result, err := r.group.Apply(ctx, body)
		return result, err
	})
	r.group, err = r.node.Start(ctx, group, r.machine, members)
	must(c.t, err)
	return r
}

// leader waits for a replica that leads and answers reads.
func leader(ctx context.Context, t testing.TB, replicas []*replica) *replica {
	for ctx.Err() == nil {
		for _, r := range replicas {
			if r.group.IsLeader() {
				if _, err := r.group.ReadIndex(ctx); err == nil {
					return r
				}
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	t.Fatal("no leader")
	return nil
}

// apply has a follower forward a command to the leader until it is known to be
// committed. On a busy machine leaders change by themselves, and a command
// whose outcome was in doubt may then be there twice.
func apply(ctx context.Context, t testing.TB, replicas []*replica, text string) {
	t.Helper()
	for ctx.Err() == nil {
		first := leader(ctx, t, replicas)
		_, err := followers(replicas, first)[0].tr.Call(ctx, first.tr.Node(), "raft/apply", []byte(text))
		switch {
		case err == nil:
			return
		case !rookery.Is(err, rookery.KindUnavailable) && !rookery.Is(err, rookery.KindUnknown):
			t.Fatalf("%q: %v", text, err)
		}
	}
	t.Fatalf("%q is not applied", text)
}

func followers(replicas []*replica, leader *replica) (out []*replica) {
	for _, r := range replicas {
		if r != leader {
			out = append(out, r)
		}
	}
	return out
}

// agree waits until the replicas stand where their leader does, and wants the
// same lines on each, among them all of want, in its order.
func agree(ctx context.Context, t testing.TB, replicas []*replica, want ...string) {
	t.Helper()
	first := leader(ctx, t, replicas)
	index, err := first.group.ReadIndex(ctx)
	must(t, err)
	for _, r := range replicas {
		must(t, r.group.Wait(ctx, index))
		if r.machine.String() != first.machine.String() {
			t.Fatalf("replicas differ: %s and %s", r.machine, first.machine)
		}
	}
	if got := slices.Compact(strings.Split(first.machine.String(), " ")); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestRaftOverTransport(t *testing.T) {
	c := newCluster(t)
	ctx := within(t)
	var members []consensus.Server
	for _, n := range []rookery.NodeID{"a", "b", "c"} {
		members = append(members, consensus.Server{ID: n, Address: string(n)})
	}
	var replicas []*replica
	for _, m := range members {
		replicas = append(replicas, c.replica(ctx, c.node(m.ID, nil), 7, members))
	}
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprintf("w%d", i))
		apply(ctx, t, replicas, want[i])
	}
	agree(ctx, t, replicas, want...)
	// Connections are lost: everything goes on.
	first := leader(ctx, t, replicas)
	for _, r := range followers(replicas, first) {
		first.tr.CutOff(r.tr.Node())
	}
	want = append(want, "after-the-cut")
	apply(ctx, t, replicas, "after-the-cut")
	agree(ctx, t, replicas, want...)
	// The leader is taken off the members and goes.
	first = leader(ctx, t, replicas)
	c.remove(first.tr.Node())
	rest := followers(replicas, first)
	for _, r := range rest {
		r.tr.CutOff(first.tr.Node())
	}
	must(t, first.tr.Close(ctx))
	want = append(want, "after-the-loss")
	apply(ctx, t, rest, "after-the-loss")
	agree(ctx, t, rest, want...)
	for _, r := range replicas {
		must(t, r.node.Close(ctx))
	}
}

// TestLeaderIsCutOff cuts a leader off without a word, in a bubble: the
// others go on, it serves no reads, and it follows when it is back.
func TestLeaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, net := newCluster(t), transporttest.NewNetwork()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		address := map[rookery.NodeID]string{"a": "10.0.0.1:7000", "b": "10.0.0.2:7000", "c": "10.0.0.3:7000"}
		var members []consensus.Server
		for _, n := range []rookery.NodeID{"a", "b", "c"} {
			members = append(members, consensus.Server{ID: n, Address: string(n)})
		}
		var replicas []*replica
		for _, m := range members {
			replicas = append(replicas, c.replica(ctx, c.inMemory(net, m.ID, address[m.ID]), 7, members))
		}
		old := leader(ctx, t, replicas)
		_, _, err := old.group.Apply(ctx, []byte("before"))
		must(t, err)
		net.Cut(address[old.tr.Node()], true)
		cut := time.Now()
		var rest []*replica
		for _, r := range replicas {
			if r != old {
				rest = append(rest, r)
			}
		}
		next := leader(ctx, t, rest)
		_, _, err = next.group.Apply(ctx, []byte("during"))
		must(t, err)
		if d := time.Since(cut); d > 5*time.Second {
			t.Errorf("failover took %v", d)
		}
		short, stop := context.WithTimeout(ctx, 2*time.Second)
		if _, err := old.group.ReadIndex(short); err == nil {
			t.Error("the leader that was cut off serves reads")
		}
		stop()
		net.Cut(address[old.tr.Node()], false)
		time.Sleep(30 * time.Second) // requests that hang end after 10 s
		index, err := leader(ctx, t, replicas).group.ReadIndex(ctx)
		must(t, err)
		for _, r := range replicas {
			must(t, r.group.Wait(ctx, index))
			if got := r.machine.String(); got != "before during" {
				t.Errorf("node %s has %q", r.tr.Node(), got)
			}
		}
		for _, r := range replicas {
			must(t, r.node.Close(ctx))
		}
		for _, r := range replicas {
			must(t, r.tr.Close(ctx))
		}
		time.Sleep(time.Minute)
	})
}

func TestRaftStreamsAreApart(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	open := func(tr *transport.Transport, g rookery.GroupID) *transport.RaftStream[raft.ServerAddress] {
		s, err := transport.OpenRaft[raft.ServerAddress](tr, g)
		must(t, err)
		return s
	}
	var _ raft.StreamLayer = (*transport.RaftStream[raft.ServerAddress])(nil)
	a1, a2, b1 := open(a, 1), open(a, 2), open(b, 1)
	_, err := transport.OpenRaft[raft.ServerAddress](a, 1)
	wantKind(t, "a group opened twice", err, rookery.KindExists)
	if _, err := a2.Dial("b", time.Second); err == nil {
		t.Fatal("connected to a group that is not there")
	}
	out, err := a1.Dial("b", time.Second)
	must(t, err)
	in, err := b1.Accept()
	must(t, err)
	io.WriteString(out, "hello")
	got := make([]byte, 5)
	_, err = io.ReadFull(in, got)
	must(t, err)
	must(t, b1.Close())
	if _, err := out.Read(got); err == nil {
		t.Fatal("the connection outlives its group")
	}
	if _, err := b1.Accept(); err == nil {
		t.Fatal("Accept outlives its group")
	}
	open(b, 1) // again
	if a1.Addr().String() != "a" {
		t.Fatalf("the address is %s", a1.Addr())
	}
}

func TestGossipStreams(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	ga, err := a.OpenGossip()
	must(t, err)
	address, _ := c.addresses("b")
	if _, err := ga.Dial(within(t), address, ""); err == nil {
		t.Fatal("gossip reached a node without it")
	}
	gb, err := b.OpenGossip()
	must(t, err)
	_, err = ga.Dial(within(t), address, "c")
	wantKind(t, "another node at the address", err, rookery.KindUnavailable)
	for _, node := range []rookery.NodeID{"", "b"} {
		out, err := ga.Dial(within(t), address, node)
		must(t, err)
		in, err := gb.Accept()
		must(t, err)
		go io.WriteString(out, "hello")
		_, err = io.ReadFull(in, make([]byte, 5))
		must(t, err)
		out.Close()
	}
	must(t, gb.Close())
	must(t, ga.Close())
}
