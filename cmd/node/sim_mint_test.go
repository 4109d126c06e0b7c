package node

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/peers"
)

// impostor is somebody with the cluster CA's key who calls himself a member:
// the certificate is as good as the member's, the public key is another.
func (c *sim) impostor(x *simNode, near *simNode) *transport.Transport {
	c.t.Helper()
	dir := datadir.Dir(x.cfg.DataDir)
	ring, err := dir.TenantKeys(x.cfg.Keys.Command).Load(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	ca, err := dir.Authority(ring)
	if err != nil {
		c.t.Fatal(err)
	}
	id, err := dir.Identity()
	if err != nil {
		c.t.Fatal(err)
	}
	request, key, err := identity.NewRequest(id.Node)
	if err != nil {
		c.t.Fatal(err)
	}
	cert, err := ca.Issue(request, id.Node, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	ident, err := identity.NewIdentity(cert, key, ca.CertificatePEM())
	if err != nil {
		c.t.Fatal(err)
	}
	tr, err := transport.New(transport.Options{
		Credentials: identity.NewCredentials(ident), Member: near.peers.Key, Addresses: near.peers.Where, Dial: dialTCP(x.deps.Network),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { tr.Close(context.Background()) })
	return tr
}

// Whoever has an old disk has the CA's key, and mints a certificate of a living
// member. Nobody listens to him, nobody speaks to him, and he gets no key.
func TestSimMintedCertificateOpensNothing(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		first, lost := c.nodes[0], c.nodes[2]
		victim := lost.id.Node
		c.off(lost)
		thief := c.impostor(lost, first)
		var mu sync.Mutex
		var heard []string
		hear := func(name string, answer any) {
			thief.Handle(name, func(_ context.Context, _ rookery.NodeID, _ []byte) ([]byte, error) {
				mu.Lock()
				defer mu.Unlock()
				heard = append(heard, name)
				return cbor.Marshal(answer)
			})
		}
		hear(peers.AskReport.Name(), peers.Report{})
		hear(peers.Ring("tenant").Held.Name(), peers.HeldKeys{})
		hear(peers.Ring("tenant").Put.Name(), peers.HeldKeys{})
		hear(peers.Ring("tenant").Sync.Name(), peers.HeldKeys{})
		ln, err := lost.deps.Network.Listen(c.t.Context(), "tcp", lost.cfg.Cluster.Listen)
		if err == nil {
			err = thief.Start(ln)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.until(time.Minute, "a rotation without the node that is down", func() bool {
			r, err := first.keys.Rotate(c.t.Context())
			return err == nil && slices.Equal(r.Without, []string{lost.cfg.Name})
		})
		mu.Lock()
		if len(heard) > 0 {
			t.Errorf("a minted certificate was called: %v", heard)
		}
		mu.Unlock()
		b, err := cbor.Marshal(peers.Key{Version: first.rings.Tenant.Keys.Current()})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range c.nodes[:2] {
			if _, err := thief.Call(c.t.Context(), x.id.Node, peers.Ring("tenant").Get.Name(), b); !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("%s answers a minted certificate of %s: %v", x.cfg.Name, victim, err)
			}
		}
		if err := thief.Close(c.t.Context()); err != nil {
			t.Fatal(err)
		}
		c.on(lost) // the node itself is let in as ever, and gets the key
		c.until(time.Minute, "the node has the new key", func() bool {
			return lost.rings.Tenant.Keys.Current() == first.rings.Tenant.Keys.Current()
		})
	})
}
