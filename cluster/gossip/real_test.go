package gossip_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"rookery"
	"rookery/cluster/gossip"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
)

// bothPorts listens on TCP and UDP with one port number.
func bothPorts(t *testing.T) (net.Listener, net.PacketConn) {
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return l, p
		}
		l.Close()
	}
	t.Fatal("no port number is free for TCP and UDP")
	return nil, nil
}

// TestOnePort gossips over UDP and over streams inside the mTLS port.
func TestOnePort(t *testing.T) {
	authority, err := identity.CreateAuthority(time.Now())
	must(t, err)
	quiet := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var nodes []*gossip.Gossip
	var seed string
	events := make(chan gossip.Event, 100)
	ids, keys := []*identity.Identity{}, map[rookery.NodeID][32]byte{}
	for i := range 3 {
		name := rookery.NodeID(fmt.Sprintf("n%d", i+1))
		request, key1, err := identity.NewRequest(name)
		must(t, err)
		cert, err := authority.Issue(request, name, time.Now())
		must(t, err)
		id, err := identity.NewIdentity(cert, key1, authority.CertificatePEM())
		must(t, err)
		ids, keys[name] = append(ids, id), id.KeyHash()
	}
	for i, id := range ids {
		tr, err := transport.New(transport.Options{
			Credentials: identity.NewCredentials(id), Logger: quiet,
			Member:    func(n rookery.NodeID) ([32]byte, bool) { k, ok := keys[n]; return k, ok },
			Addresses: func(rookery.NodeID) (string, bool) { return "", false },
		})
		must(t, err)
		t.Cleanup(func() { tr.Close(context.Background()) })
		l, packets := bothPorts(t)
		streams, err := tr.OpenGossip()
		must(t, err)
		must(t, tr.Start(l))
		o := gossip.Options{
			Cluster: id.Cluster, Self: gossip.Member{Node: id.Node, Address: l.Addr().String()}, Keys: [][]byte{key(1)},
			Packets: packets, Streams: streams, Logger: quiet, ProbeInterval: 200 * time.Millisecond,
		}
		if i == 0 {
			seed = l.Addr().String()
			o.Events = func(e gossip.Event) { events <- e }
		}
		g, err := gossip.New(o)
		must(t, err)
		t.Cleanup(func() { g.Close() })
		if i > 0 {
			must(t, g.Join(ctx, []string{seed}))
		}
		nodes = append(nodes, g)
	}
	next := func() string {
		select {
		case e := <-events:
			return fmt.Sprintf("%s %s", e.Kind, e.Member.Node)
		case <-ctx.Done():
			t.Fatal("nothing is heard any more")
			return ""
		}
	}
	// In either order: what n3 says may overtake what n2 said.
	if came := map[string]bool{next(): true, next(): true}; !came["joined n2"] || !came["joined n3"] {
		t.Fatalf("heard %v", came)
	}
	must(t, nodes[1].Leave(ctx))
	nodes[1].Close()
	nodes[2].Close()
	seen := map[string]bool{}
	for !seen["left n2"] || !seen["failed n3"] {
		seen[next()] = true
	}
	if !seen["suspect n3"] || seen["failed n2"] || seen["left n3"] {
		t.Fatalf("heard %v", seen)
	}
}
