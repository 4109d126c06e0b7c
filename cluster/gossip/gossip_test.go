package gossip_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/cluster/gossip"
	"rookery/cluster/gossip/gossiptest"
)

const clusterID = "00112233445566778899aabbccddeeff"

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// node is a gossiping node of a test.
type node struct {
	*gossip.Gossip
	t       testing.TB
	address string
	mu      sync.Mutex
	events  []string
}

func (n *node) hear(e gossip.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, fmt.Sprintf("%s %s", e.Kind, e.Member.Node))
}

// heard gives the events since the last call.
func (n *node) heard() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := strings.Join(n.events, ", ")
	n.events = nil
	return s
}

func (n *node) members() string {
	var s []string
	for _, m := range n.Members() {
		text := string(m.Node)
		if m.Suspect {
			text += "?"
		}
		s = append(s, text)
	}
	return strings.Join(s, " ")
}

func (n *node) want(members, events string) {
	n.t.Helper()
	if got := n.members(); got != members {
		n.t.Errorf("node at %s sees %q, want %q", n.address, got, members)
	}
	if got := n.heard(); got != events {
		n.t.Errorf("node at %s heard %q, want %q", n.address, got, events)
	}
}

func start(t testing.TB, net *gossiptest.Network, i int, change func(*gossip.Options)) *node {
	n := &node{t: t, address: fmt.Sprintf("10.0.0.%d:7000", i)}
	port := net.Open(n.address)
	o := gossip.Options{
		Cluster: clusterID, Self: gossip.Member{Node: rookery.NodeID(fmt.Sprintf("n%d", i)), Name: "mail", Address: n.address,
			Zone: "z", Version: "1.0"},
		Keys: [][]byte{key(1)}, Packets: port, Streams: port.Streams(), Events: n.hear, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	var err error
	n.Gossip, err = gossip.New(o)
	must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// settle lets memberlist's own goroutines end: its Shutdown does not wait
// for questions under way.
func settle(nodes ...*node) {
	for _, n := range nodes {
		n.Close()
	}
	time.Sleep(15 * time.Second)
}

// three starts three nodes that know each other.
func three(t testing.TB, net *gossiptest.Network) (a, b, c *node) {
	a, b, c = start(t, net, 1, nil), start(t, net, 2, nil), start(t, net, 3, nil)
	must(t, b.Join(t.Context(), []string{a.address}))
	must(t, c.Join(t.Context(), []string{"10.0.0.9:7000", a.address}))
	time.Sleep(2 * time.Second)
	a.want("n2 n3", "joined n2, joined n3")
	b.want("n1 n3", "joined n1, joined n3")
	c.heard()
	c.want("n1 n2", "")
	return a, b, c
}

func TestLifeAndDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := gossiptest.NewNetwork()
		a, b, c := three(t, net)
		m := a.Members()[0]
		if m.Address != b.address || m.Name != "mail" || m.Zone != "z" || m.Version != "1.0" || m.Suspect {
			t.Fatalf("member is %+v", m)
		}
		time.Sleep(time.Minute) // nothing happens
		a.want("n2 n3", "")

		b.Close()
		time.Sleep(4 * time.Second)
		a.want("n2? n3", "suspect n2")
		time.Sleep(30 * time.Second)
		a.want("n3", "failed n2")
		c.want("n1", "suspect n2, failed n2")

		b = start(t, net, 2, nil) // the same node again
		must(t, b.Join(t.Context(), []string{c.address}))
		time.Sleep(2 * time.Second)
		a.want("n2 n3", "joined n2")
		c.heard()

		must(t, b.Leave(t.Context()))
		time.Sleep(2 * time.Second)
		b.Close()
		time.Sleep(10 * time.Second)
		a.want("n3", "left n2")
		c.want("n1", "left n2")
		settle(a, b, c)
	})
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := gossiptest.NewNetwork()
		a, b, c := three(t, net)
		net.Cut(c.address, true)
		time.Sleep(3500 * time.Millisecond)
		a.want("n2 n3?", "suspect n3")
		net.Cut(c.address, false)
		time.Sleep(10 * time.Second)
		// n3 may take longer to learn that it was wrong about the others.
		if got := a.heard(); a.members() != "n2 n3" || !strings.HasPrefix(got, "recovered n3") {
			t.Errorf("after the partition: members %q, heard %q", a.members(), got)
		}

		net.Cut(c.address, true)
		time.Sleep(time.Minute)
		a.want("n2", "suspect n3, failed n3")
		net.Cut(c.address, false)
		must(t, c.Join(t.Context(), []string{a.address}))
		time.Sleep(5 * time.Second)
		a.want("n2 n3", "joined n3")
		settle(a, b, c)
	})
}

func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := gossiptest.NewNetwork()
		a, b, c := three(t, net)
		all := []*node{a, b, c}
		for _, keys := range [][][]byte{{key(1), key(2)}, {key(2), key(1)}, {key(2)}} {
			for _, n := range all {
				must(t, n.SetKeys(keys))
				time.Sleep(5 * time.Second)
			}
		}
		a.want("n2 n3", "")
		stranger := start(t, net, 4, nil) // knows the old key
		if err := stranger.Join(t.Context(), []string{a.address}); err == nil {
			t.Error("a node with an old key joined")
		}
		foreign := start(t, net, 5, func(o *gossip.Options) { o.Keys, o.Cluster = [][]byte{key(2)}, "another" })
		if err := foreign.Join(t.Context(), []string{a.address}); err == nil {
			t.Error("a node of another cluster joined")
		}
		time.Sleep(5 * time.Second)
		a.want("n2 n3", "")
		if err := a.SetKeys([][]byte{{1, 2, 3}}); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("a short key: %v", err)
		}
		settle(append(all, stranger, foreign)...)
	})
}

func TestOnlyMembersAreHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := gossiptest.NewNetwork()
		var mu sync.Mutex
		members := map[rookery.NodeID]bool{"n2": true}
		a := start(t, net, 1, func(o *gossip.Options) {
			o.Admit = func(n rookery.NodeID) bool { mu.Lock(); defer mu.Unlock(); return members[n] }
		})
		b, c := start(t, net, 2, nil), start(t, net, 3, nil)
		must(t, b.Join(t.Context(), []string{a.address}))
		must(t, c.Join(t.Context(), []string{a.address}))
		time.Sleep(5 * time.Second)
		a.want("n2", "joined n2")
		mu.Lock()
		members["n3"], members["n2"] = true, false
		mu.Unlock()
		time.Sleep(time.Minute) // the next full exchange
		if got := a.members(); got != "n3" {
			t.Errorf("members are %q after the change", got)
		}
		settle(a, b, c)
	})
}

func TestSlowListenerStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := gossiptest.NewNetwork()
		gate := make(chan struct{})
		a := start(t, net, 1, func(o *gossip.Options) { o.Events = func(gossip.Event) { <-gate } })
		b, c := start(t, net, 2, nil), start(t, net, 3, nil)
		must(t, b.Join(t.Context(), []string{a.address}))
		must(t, c.Join(t.Context(), []string{a.address}))
		time.Sleep(time.Minute)
		b.heard()
		b.want("n1 n3", "")
		close(gate)
		settle(a, b, c)
	})
}

func TestOptions(t *testing.T) {
	good := func() gossip.Options {
		port := gossiptest.NewNetwork().Open("10.0.0.1:7000")
		return gossip.Options{Cluster: clusterID, Self: gossip.Member{Node: "n1", Address: "a:1"}, Keys: [][]byte{key(1)},
			Packets: port, Streams: port.Streams(), Logger: slog.New(slog.DiscardHandler)}
	}
	for name, change := range map[string]func(*gossip.Options){
		"no cluster":  func(o *gossip.Options) { o.Cluster = "" },
		"no node":     func(o *gossip.Options) { o.Self.Node = "" },
		"no address":  func(o *gossip.Options) { o.Self.Address = "" },
		"no key":      func(o *gossip.Options) { o.Keys = nil },
		"short key":   func(o *gossip.Options) { o.Keys = [][]byte{{1}} },
		"long name":   func(o *gossip.Options) { o.Self.Name = strings.Repeat("x", 65) },
		"no packets":  func(o *gossip.Options) { o.Packets = nil },
		"unspecified": func(o *gossip.Options) { o.Packets = gossiptest.NewNetwork().Open("0.0.0.0:7000") },
	} {
		o := good()
		change(&o)
		if _, err := gossip.New(o); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := good()
	o.Self = gossip.Member{Node: rookery.NodeID(strings.Repeat("n", 64)), Name: strings.Repeat("x", 64), Zone: strings.Repeat("z", 64),
		Version: strings.Repeat("v", 64), Address: strings.Repeat("a", 192)}
	g, err := gossip.New(o) // memberlist panics above 512 bytes
	must(t, err)
	must(t, g.Leave(context.Background()))
	must(t, g.Close())
	must(t, g.Close())
}

// TestBlockedPackets: members that answer by another way alone live and are
// called mute; those that answer neither way are suspect.
func TestBlockedPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := gossiptest.NewNetwork()
		var dead sync.Map
		ask := func(o *gossip.Options) {
			o.Ask = func(_ context.Context, id rookery.NodeID) error {
				if _, is := dead.Load(id); is {
					return context.DeadlineExceeded
				}
				return nil
			}
		}
		a, b := start(t, net, 1, ask), start(t, net, 2, ask)
		must(t, b.Join(t.Context(), []string{a.address}))
		time.Sleep(2 * time.Second)
		a.want("n2", "joined n2")
		if a.Members()[0].Mute {
			t.Error("a member whose packets arrive is called mute")
		}
		net.Cut(b.address, true)
		time.Sleep(3500 * time.Millisecond)
		a.want("n2", "")
		if m := a.Members(); len(m) != 1 || !m[0].Mute {
			t.Errorf("with packets blocked the members are %+v", m)
		}
		dead.Store(rookery.NodeID("n2"), true)
		time.Sleep(4 * time.Second)
		if m := a.Members(); len(m) > 0 && !m[0].Suspect {
			t.Errorf("a dead member is not suspect: %+v", m)
		}
		settle(a, b)
	})
}
