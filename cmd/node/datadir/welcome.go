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

// secretFiles are the files that all nodes share as they are. The tenant
// keyring is not among them: each node keeps it in a source of its own.
func (w *welcome) secretFiles() map[string]*[]byte {
	return map[string]*[]byte{settingsKeys: &w.SettingsKey, authorityKey: &w.AuthorityKey}
}

// Admit gives a joiner, whose token was used up, its certificate and what all
// nodes share: keyring is the tenant keyring as Encode wrote it.
func (d Dir) Admit(q transport.JoinRequest, keyring []byte, seeds []Seed, now time.Time) (a transport.JoinAnswer, err error) {
	ca, err := d.Authority()
	if err != nil {
		return a, err
	}
	if a.Certificate, err = ca.Issue(q.Request, q.Node, now); err != nil {
		return a, err
	}
	if a.Authorities, err = os.ReadFile(d.path(filepath.Join(certificateDir, identity.AuthoritiesFile))); err != nil {
		return a, rookery.E("admit node", rookery.KindUnavailable, err)
	}
	w, err := d.welcome(keyring)
	if err != nil {
		return a, err
	}
	w.Seeds = seeds
	a.Payload, err = cbor.Marshal(w)
	return a, err
}

// welcome reads what a joiner gets.
func (d Dir) welcome(keyring []byte) (w welcome, err error) {
	id, err := d.Identity()
	if err != nil {
		return w, err
	}
	w = welcome{TenantKeys: keyring, Generation: id.Generation}
	for name, into := range w.secretFiles() {
		b, err := os.ReadFile(d.path(name))
		if err != nil {
			return w, rookery.E("read cluster keys", rookery.KindUnavailable, err)
		}
		*into = b
	}
	return w, nil
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
		if err := durable.WriteFile(d.path(name), *b, 0o600); err != nil {
			return rookery.E(op, rookery.KindUnavailable, err)
		}
	}
	return d.SaveSeeds(w.Seeds)
}
