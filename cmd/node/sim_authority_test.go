package node

import (
	"context"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/keyring"
	"rookery/cmd/node/peers"
)

// issuers are the authorities of the nodes' certificates.
func (c *sim) issuers() (all [][32]byte) {
	for _, x := range c.nodes {
		if x.Node != nil {
			all = append(all, x.peers.Certificate().Issuer())
		}
	}
	slices.SortFunc(all, func(a, b [32]byte) int { return strings.Compare(string(a[:]), string(b[:])) })
	return slices.Compact(all)
}

// The CA changes under load, with a node whose power goes in the middle: no node
// is ever refused by another, and in the end nobody trusts the old one, also on
// disk. A token of before is refused, and one of after admits.
func TestSimAuthorityChanges(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		ctx, n, away := c.t.Context(), c.nodes[0].Node, c.nodes[2]
		time.Sleep(2 * keyring.RekeyCalm)
		old := n.peers.Certificate()
		block, _ := pem.Decode(old.AuthoritiesPEM())
		was := block.Bytes
		stale, addresses, err := n.registry.MintToken(ctx, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		awayID := away.id.Node
		c.off(away)
		c.until(time.Minute, "the node is known to be away", func() bool { return !n.lives.Alive(awayID) })
		if _, err := n.keys.RotateAuthority(ctx, false); !rookery.Is(err, rookery.KindUnavailable) ||
			!strings.Contains(err.Error(), away.cfg.Name) || !strings.Contains(err.Error(), "-force") {
			t.Errorf("a change began that cannot end: %v", err)
		}
		if a, err := n.keys.RotateAuthority(ctx, true); err != nil || a.Version != 1 || a.Next != 2 {
			t.Fatalf("told to begin: %+v %v", a, err)
		}
		c.until(3*time.Minute, "the change waits for the node that is away alone", func() bool {
			a, err := n.keys.Authority()
			return err == nil && slices.Equal(a.Waits, []string{away.cfg.Name}) && a.Version == 1
		})
		c.until(3*time.Minute, "the status says so", func() bool {
			return n.problemWith("the change of the cluster CA waits for nodes ["+away.cfg.Name) != ""
		})
		if a, err := c.nodes[1].keys.RotateAuthority(ctx, false); err != nil || a.Next != 2 {
			t.Errorf("asked again it does not say how far it is: %+v %v", a, err)
		}
		c.on(away)
		c.sendFor(time.Second)
		c.until(3*time.Minute, "the new one is in use", func() bool {
			a, err := n.keys.Authority()
			return err == nil && a.Version == 2
		})
		c.powerCut(c.nodes[1])
		time.Sleep(time.Second)
		c.on(c.nodes[1])
		c.until(3*time.Minute, "the change is over on every node", func() bool {
			for _, x := range c.nodes {
				a, err := x.keys.Authority()
				id := x.peers.Certificate()
				if err != nil || a.Stage != "" || a.Version != 2 || id.Trusts(was) ||
					!slices.Equal(x.rings.Authority.Keys.Versions(), []uint32{2}) {
					return false
				}
			}
			return true
		})
		if all := c.issuers(); len(all) != 1 || all[0] == old.Issuer() {
			t.Errorf("certificates are by %d authorities", len(all))
		}
		for _, x := range c.nodes {
			kept, err := identity.LoadIdentity(filepath.Join(x.cfg.DataDir, certificateDir))
			if err != nil || kept.Trusts(was) || kept.Issuer() == old.Issuer() {
				t.Errorf("the disk of %s still has the old one (%v)", x.cfg.Name, err)
			}
		}
		c.until(time.Minute, "the status says what the kit lacks", func() bool {
			return n.problemWith("lacks the cluster CA's key 2") != ""
		})
		if err := n.dir.WriteKit(filepath.Join(t.TempDir(), "kit"), time.Now(), true); err != nil {
			t.Fatal(err)
		}
		c.until(time.Minute, "a new kit ends that, on every node", func() bool {
			return !slices.ContainsFunc(c.nodes, func(x *simNode) bool { return x.problemWith("recovery kit") != "" })
		})
		c.add(3, nil)
		joiner := c.nodes[3]
		if err := joiner.join(ctx, joiner.cfg, stale, addresses); err == nil {
			t.Error("a token that names the old CA admits a node")
		}
		token, addresses, err := n.registry.MintToken(ctx, time.Hour)
		if err == nil {
			err = joiner.join(ctx, joiner.cfg, token, addresses)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.on(joiner)
		c.sendFor(time.Second)
		c.nodes = c.nodes[:3] // the joiner has no replicas yet
		c.mustCheck()
		c.off(joiner)
	})
}

// Who has the old disk of a node, with its certificate and key, is nobody after
// a change: the node itself goes on, and the certificate of then opens nothing.
func TestSimOldAuthorityOpensNothing(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		n, robbed := c.nodes[0], c.nodes[2]
		time.Sleep(2 * keyring.RekeyCalm)
		kept, err := identity.LoadIdentity(filepath.Join(robbed.cfg.DataDir, certificateDir))
		if err != nil {
			t.Fatal(err)
		}
		asks := func(trusted []byte) error {
			id, err := kept.Trusting(trusted)
			if err != nil {
				t.Fatal(err)
			}
			ghost, err := transport.New(transport.Options{Credentials: identity.NewCredentials(id), Member: n.peers.Key,
				Addresses: n.peers.Where, Dial: dialTCP(robbed.deps.Network)})
			if err != nil {
				t.Fatal(err)
			}
			defer ghost.Close(context.Background())
			b, err := cbor.Marshal(peers.Nothing{})
			if err == nil {
				_, err = ghost.Call(c.t.Context(), n.id.Node, peers.AskReport.Name(), b)
			}
			return err
		}
		if err := asks(kept.AuthoritiesPEM()); err != nil {
			t.Fatalf("before the change: %v", err)
		}
		if _, err := n.keys.RotateAuthority(c.t.Context(), false); err != nil {
			t.Fatal(err)
		}
		c.until(3*time.Minute, "the change is over", func() bool {
			a, err := n.keys.Authority()
			return err == nil && a.Stage == "" && a.Version == 2
		})
		both := append(kept.AuthoritiesPEM(), n.peers.Certificate().AuthoritiesPEM()...)
		if err := asks(both); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("the certificate of before still opens a connection: %v", err)
		}
		c.mustCheck()
	})
}
