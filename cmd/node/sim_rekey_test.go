package node

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/keyring"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/settings"
	"rookery/protocols/outbound/dkim"
	"rookery/storage/command"
)

// secrets are the sealed secrets of the settings, and the keys that sign mail, as a
// node has them.
func (c *sim) secrets(x *simNode) map[string]string {
	c.t.Helper()
	_, doc, err := x.system.Settings()
	if err != nil {
		c.t.Fatal(err)
	}
	set, err := settings.Parse(doc)
	if err != nil {
		c.t.Fatal(err)
	}
	sealed := map[string]string{}
	set.EachSecret(func(place string, v *string) error {
		if *v != "" {
			sealed[place] = *v
		}
		return nil
	})
	signing, err := x.system.SigningKeys()
	if err != nil {
		c.t.Fatal(err)
	}
	if len(sealed) == 0 || len(signing) == 0 {
		c.t.Fatal("the settings have no secret, or mail is signed with no key: nothing is tried")
	}
	for _, y := range signing {
		for _, k := range y.Keys {
			sealed["dkim key "+dkim.RecordName(k.Selector, y.Domain)] = k.Sealed
		}
	}
	return sealed
}

// The system group's leader is removed, and keeps its disk; another node loses
// its power meanwhile. The others come to use another settings key and drop the
// one of before, and seal all secrets anew. With what is on the disk of the
// removed node no packet of gossip can be read and no new secret opened, and
// nobody gives it the new key.
func TestSimRemovedNodeKnowsNoSettingsKey(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		time.Sleep(2 * keyring.RekeyCalm)
		removed := c.leader(rookery.SystemGroup)
		var stay []*simNode
		for _, x := range c.nodes {
			if x != removed {
				stay = append(stay, x)
			}
		}
		old := removed.rings.Settings.Keys.Current()
		c.setState(stay[0], removed, command.NodeRemoved)
		c.powerCut(stay[1])
		time.Sleep(time.Second)
		c.on(stay[1])
		c.until(3*time.Minute, "the others use another key and no older one", func() bool {
			for _, x := range stay {
				if v := x.rings.Settings.Keys.Versions(); len(v) != 1 || v[0] <= old {
					return false
				}
			}
			return true
		})
		kept, err := removed.dir.SettingsKeys(removed.rings.Tenant.Keys).Load(c.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		his, err := keyring.GossipKeys(kept)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range stay {
			for place, secret := range c.secrets(x) {
				if _, err := keyring.NewSealer(kept).Open(place, secret); err == nil {
					t.Errorf("the removed node opens %s", place)
				}
				if _, err := keyring.NewSealer(x.rings.Settings.Keys).Open(place, secret); err != nil {
					t.Errorf("%s cannot open %s: %v", x.cfg.Name, place, err)
				}
			}
			if _, _, err := x.settings.Local(); err != nil {
				t.Errorf("%s cannot read the settings: %v", x.cfg.Name, err)
			}
			keys, err := keyring.GossipKeys(x.rings.Settings.Keys)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				if slices.ContainsFunc(his, func(k []byte) bool { return bytes.Equal(k, key) }) {
					t.Error("the removed node knows the key of gossip")
				}
			}
		}
		c.off(removed)
		ident, err := identity.LoadIdentity(filepath.Join(removed.cfg.DataDir, certificateDir))
		if err != nil {
			t.Fatal(err)
		}
		ghost, err := transport.New(transport.Options{Credentials: identity.NewCredentials(ident), Member: stay[0].peers.Key,
			Addresses: stay[0].peers.Where, Dial: dialTCP(removed.deps.Network)})
		if err != nil {
			t.Fatal(err)
		}
		defer ghost.Close(context.Background())
		b, err := cbor.Marshal(peers.Key{Version: stay[1].rings.Settings.Keys.Current()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ghost.Call(c.t.Context(), stay[1].id.Node, peers.Ring("settings").Get.Name(), b); err == nil {
			t.Error("the removed node is given the key")
		}
	})
}
