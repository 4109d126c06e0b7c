package datadir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/settings"
	"rookery/internal/durable"
	"rookery/storage/keys"
)

// Joiner is what a node that joins says of itself.
type Joiner struct {
	Name    string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
	Zone    string `cbor:"3,keyasint,omitempty"`
	Version uint32 `cbor:"4,keyasint"`
}

// ParseJoiner reads what a join request says of the joiner.
func ParseJoiner(q transport.JoinRequest) (j Joiner, err error) {
	if err := cbor.Unmarshal(q.Info, &j); err != nil {
		return j, rookery.E("admit node", rookery.KindCredentials, err)
	}
	return j, nil
}

// welcome is what a joiner gets besides its certificate.
type welcome struct {
	TenantKeys   []byte `cbor:"1,keyasint"`
	SettingsKey  []byte `cbor:"2,keyasint"`
	AuthorityKey []byte `cbor:"4,keyasint"`
	Seeds        []Seed `cbor:"5,keyasint"`
	Generation   string `cbor:"6,keyasint,omitempty"`
}

// secretFiles are what all nodes share besides the tenant keyring, which each
// keeps in a source of its own and seals these files under.
func (w *welcome) secretFiles() map[string]*[]byte {
	return map[string]*[]byte{settingsKeys: &w.SettingsKey, authorityKey: &w.AuthorityKey}
}

// Admit gives a joiner, whose token was used up, its certificate and what all
// nodes share: the tenant keyring, and what is sealed under it here.
func (d Dir) Admit(q transport.JoinRequest, ring *keys.Keyring, seeds []Seed, now time.Time) (a transport.JoinAnswer, err error) {
	ca, err := d.Authority(ring)
	if err != nil {
		return a, err
	}
	if a.Certificate, err = ca.Issue(q.Request, q.Node, now); err != nil {
		return a, err
	}
	if a.Authorities, err = os.ReadFile(d.path(filepath.Join(certificateDir, identity.AuthoritiesFile))); err != nil {
		return a, rookery.E("admit node", rookery.KindUnavailable, err)
	}
	w, err := d.welcome(ring)
	if err != nil {
		return a, err
	}
	defer w.clear()
	w.Seeds = seeds
	a.Payload, err = cbor.Marshal(w)
	return a, err
}

// welcome reads what a joiner gets.
func (d Dir) welcome(ring *keys.Keyring) (w welcome, err error) {
	id, err := d.Identity()
	if err != nil {
		return w, err
	}
	w.Generation = id.Generation
	if w.TenantKeys, err = ring.Encode(); err != nil {
		return w, err
	}
	for name, into := range w.secretFiles() {
		if *into, err = d.open(ring, name); err != nil {
			w.clear()
			return w, err
		}
	}
	return w, nil
}

// clear forgets the secrets.
func (w *welcome) clear() {
	clear(w.TenantKeys)
	clear(w.SettingsKey)
	clear(w.AuthorityKey)
}

// write puts what a joiner, or the first node, was given into its directory.
func (w *welcome) write(ctx context.Context, cfg *settings.Node) error {
	const op = "write cluster keys"
	d := Dir(cfg.DataDir)
	if err := durable.MakeDir(d.path("keys")); err != nil {
		return rookery.E(op, rookery.KindDenied, err)
	}
	ring, err := keys.ParseKeyring(w.TenantKeys, "the keyring that the cluster gave")
	if err == nil {
		err = d.TenantKeys(cfg.Keys.Command).Save(ctx, ring)
	}
	if err != nil {
		return err
	}
	for name, b := range w.secretFiles() {
		if len(*b) == 0 {
			return rookery.E(op, rookery.KindDamaged, fmt.Errorf("the cluster gave no %s", name))
		}
		sealed, err := seal(ring, name, *b)
		if err == nil {
			err = durable.WriteFile(d.path(name), sealed, 0o600)
		}
		if err != nil {
			return rookery.E(op, rookery.KindUnavailable, err)
		}
	}
	return d.SaveSeeds(w.Seeds)
}
