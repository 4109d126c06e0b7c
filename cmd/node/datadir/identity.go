package datadir

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/internal/durable"
)

// Identity is what makes a data directory a node. The epoch counts its
// starts: it is on disk before the node proposes anything under it.
type Identity struct {
	Node  rookery.NodeID `json:"node"`
	Epoch uint64         `json:"epoch"`
	// Created says that this node began its cluster: it bootstraps the groups
	// that do not exist yet. A node that joined waits to be added to them.
	Created bool `json:"created,omitempty"`
	// Held says that the node has held groups. From then on a missing log or
	// state is a disk that is not there: with an empty one the node would vote
	// a second time in terms it has voted in.
	Held bool `json:"held,omitempty"`
	// Generation is that of the cluster as this node knows it, empty until the
	// first recovery from a lost majority: "<number>-<id of the recovery>".
	Generation string `json:"generation,omitempty"`
}

// Number is the generation's number, 0 before the first recovery.
func (id Identity) Number() (n uint64) {
	if _, err := fmt.Sscanf(id.Generation, "%d-", &n); err != nil {
		return 0
	}
	return n
}

// NewNodeID names a node that there never was.
func NewNodeID() rookery.NodeID { return rookery.NodeID("n-" + strings.ToLower(rand.Text()[:16])) }

// Start reads the identity and moves its epoch on. It refuses a directory that
// must not be served from: one that is half recovered, that is an older copy
// of itself, or whose log or state is gone.
func (d Dir) Start(disk vfs.FS) (Identity, error) {
	const op = "read node identity"
	var id Identity
	path := d.path(identityFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return id, rookery.E(op, rookery.KindUnavailable, err)
	}
	if err := json.Unmarshal(b, &id); err != nil || id.Node == "" {
		return id, rookery.E(op, rookery.KindDamaged, fmt.Errorf("%s cannot be read (%v); bring it back from a backup of the node", path, err))
	}
	id.Epoch++
	if err := d.SaveIdentity(id); err != nil {
		return id, err
	}
	if err := errors.Join(d.refuseHalfFilled(), d.refuseHalfRecovered(), d.refuseSuperseded()); err != nil {
		return id, err
	}
	return id, d.refuseEmpty(id, disk)
}

// Identity reads who the node is without starting under it.
func (d Dir) Identity() (id Identity, err error) {
	b, err := os.ReadFile(d.path(identityFile))
	if err == nil {
		err = json.Unmarshal(b, &id)
	}
	if err != nil {
		return id, rookery.E("read node identity", rookery.KindUnavailable, fmt.Errorf("%w; name a node's data directory", err))
	}
	return id, nil
}

// SaveIdentity replaces the identity.
func (d Dir) SaveIdentity(id Identity) error {
	if err := d.writeJSON(identityFile, id); err != nil {
		return rookery.E("write node identity", rookery.KindUnavailable, err)
	}
	return nil
}

func (d Dir) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(d.path(name), append(b, '\n'), 0o600)
}
