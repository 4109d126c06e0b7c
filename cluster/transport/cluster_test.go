package transport_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cluster/transport/transporttest"
)

// cluster is a cluster's authority and address book for a test.
type cluster struct {
	t         testing.TB
	authority *identity.Authority

	mu      sync.Mutex
	address map[rookery.NodeID]string
	members map[rookery.NodeID][32]byte
}

func newCluster(t testing.TB) *cluster {
	a, err := identity.CreateAuthority(time.Now().Add(-2 * identity.NodeLifetime))
	must(t, err)
	return &cluster{t: t, authority: a, address: map[rookery.NodeID]string{}, members: map[rookery.NodeID][32]byte{}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within is a context that outlasts no test.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func issued(t testing.TB, a *identity.Authority, node rookery.NodeID, now time.Time) *identity.Identity {
	t.Helper()
	request, key, err := identity.NewRequest(node)
	must(t, err)
	cert, err := a.Issue(request, node, now)
	must(t, err)
	id, err := identity.NewIdentity(cert, key, a.CertificatePEM())
	must(t, err)
	return id
}

func (c *cluster) member(n rookery.NodeID) ([32]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, ok := c.members[n]
	return key, ok
}

func (c *cluster) addresses(n rookery.NodeID) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.address[n]
	return a, ok
}

func (c *cluster) register(id *identity.Identity, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := id.Node
	c.members[n] = id.KeyHash()
	if address != "" {
		c.address[n] = address
	}
}

func (c *cluster) remove(n rookery.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.members, n)
}

func listen(t testing.TB) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return l
}

// node starts a registered member; change may alter its options.
func (c *cluster) node(name rookery.NodeID, change func(*transport.Options)) *transport.Transport {
	c.t.Helper()
	o := transport.Options{
		Credentials: identity.NewCredentials(issued(c.t, c.authority, name, time.Now())),
		Member:      c.member, Addresses: c.addresses, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	tr, err := transport.New(o)
	must(c.t, err)
	l := listen(c.t)
	c.register(o.Credentials.Current(), l.Addr().String())
	must(c.t, tr.Start(l))
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		tr.Close(ctx)
	})
	return tr
}

func wantKind(t testing.TB, what string, err error, kind rookery.Kind) {
	t.Helper()
	if err == nil || rookery.KindOf(err) != kind {
		t.Fatalf("%s: error %v of kind %v, want kind %v", what, err, rookery.KindOf(err), kind)
	}
}

func echo(_ context.Context, from rookery.NodeID, body []byte) ([]byte, error) {
	return fmt.Appendf(nil, "%s: %s", from, body), nil
}

// inMemory starts a member on a network in memory.
func (c *cluster) inMemory(n *transporttest.Network, name rookery.NodeID, address string) *transport.Transport {
	id := issued(c.t, c.authority, name, time.Now())
	tr, err := transport.New(transport.Options{
		Credentials: identity.NewCredentials(id),
		Member:      c.member, Addresses: c.addresses, Dial: n.Dialer(address), Logger: slog.New(slog.DiscardHandler),
	})
	must(c.t, err)
	c.register(id, address)
	must(c.t, tr.Start(n.Listen(address)))
	return tr
}
