package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cmd/node/settings"
	"rookery/internal/durable"
	"rookery/storage/body"
)

// The files of a node's membership, below its data directory.
const (
	identityDir  = "identity"          // certificate and CAs
	authorityKey = "keys/ca.key"       // the cluster CA's key: any node admits others
	tenantKeys   = "keys/tenant.json"  // the keyring of account keys
	settingsKey  = "keys/settings.key" // the keyring that opens sealed settings and encrypts discovery
	seedsFile    = "seeds.json"        // where others were last known to be
)

// Seed is where a node was last known to be, and the hash of its public key,
// without which it is not believed to be that node.
type Seed struct {
	Node    rookery.NodeID `json:"node" cbor:"1,keyasint"`
	Address string         `json:"address" cbor:"2,keyasint"`
	Key     []byte         `json:"key" cbor:"3,keyasint"`
}

// member is the node as the mesh knows it. A seed without a whole key is of
// nobody: no public key has the hash of zeros.
func (s Seed) member() (m member) {
	m.address = s.Address
	copy(m.key[:], s.Key)
	return m
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
	return map[string]*[]byte{settingsKey: &w.SettingsKey, authorityKey: &w.AuthorityKey}
}

// readWelcome is what a joiner gets, with the tenant keyring as Encode wrote it.
func readWelcome(dir string, keyring []byte, seeds []Seed) ([]byte, error) {
	id, err := readIdentity(dir)
	if err != nil {
		return nil, err
	}
	w := welcome{TenantKeys: keyring, Seeds: seeds, Generation: id.Generation}
	for name, into := range w.secretFiles() {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, rookery.E("read cluster keys", rookery.KindUnavailable, err)
		}
		*into = b
	}
	return cbor.Marshal(w)
}

func writeWelcome(ctx context.Context, cfg settings.Node, payload []byte) error {
	const op = "write cluster keys"
	dir := cfg.DataDir
	var w welcome
	if err := cbor.Unmarshal(payload, &w); err != nil {
		return rookery.E(op, rookery.KindDamaged, err)
	}
	if err := durable.MakeDir(filepath.Join(dir, "keys")); err != nil {
		return rookery.E(op, rookery.KindDenied, err)
	}
	ring, err := body.ParseKeyring(w.TenantKeys, "the keyring that the cluster gave")
	if err == nil {
		err = keySourceOf(&cfg).save(ctx, ring)
	}
	if err != nil {
		return err
	}
	for name, b := range w.secretFiles() {
		if len(*b) == 0 {
			return rookery.E(op, rookery.KindDamaged, fmt.Errorf("the cluster gave no %s", name))
		}
		if err := durable.WriteFile(filepath.Join(dir, name), *b, 0o600); err != nil {
			return rookery.E(op, rookery.KindUnavailable, err)
		}
	}
	return saveSeeds(dir, w.Seeds)
}

func saveSeeds(dir string, seeds []Seed) error {
	b, err := json.MarshalIndent(seeds, "", "  ")
	if err == nil {
		err = durable.WriteFile(filepath.Join(dir, seedsFile), append(b, '\n'), 0o600)
	}
	if err != nil {
		return rookery.E("write seeds", rookery.KindUnavailable, err)
	}
	return nil
}

func loadSeeds(dir string) ([]Seed, error) {
	b, err := os.ReadFile(filepath.Join(dir, seedsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var seeds []Seed
	if err == nil {
		err = json.Unmarshal(b, &seeds)
	}
	if err != nil {
		return nil, rookery.E("read seeds", rookery.KindDamaged, fmt.Errorf("%w; remove %s: the node finds others through the cluster's state", err, seedsFile))
	}
	return seeds, nil
}

// loadAuthority reads the cluster CA with its key.
func loadAuthority(dir string) (*transport.Authority, error) {
	cert, err := os.ReadFile(filepath.Join(dir, identityDir, transport.AuthoritiesFile))
	if err != nil {
		return nil, rookery.E("read cluster CA", rookery.KindUnavailable, err)
	}
	key, err := os.ReadFile(filepath.Join(dir, authorityKey))
	if err != nil {
		return nil, rookery.E("read cluster CA", rookery.KindUnavailable, err)
	}
	return transport.ParseAuthority(cert, key)
}
