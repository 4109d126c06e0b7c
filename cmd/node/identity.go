package node

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"rookery/internal/durable"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

const identityFile = "node.json"

// refuseEmpty ends the start of a node that has held groups and whose log or
// state is gone.
func (id identity) refuseEmpty(dir string, disk vfs.FS) error {
	if !id.Held {
		return nil
	}
	for _, d := range []string{"log", "state"} {
		if _, err := disk.Stat(filepath.Join(dir, d)); errors.Is(err, fs.ErrNotExist) {
			return rookery.E("open node", rookery.KindDamaged,
				fmt.Errorf("%s is missing, which this node has voted with: mount it if it lies on a disk of its own; if it is lost, take the node off with rookery remove, remove %s and join as a new node", filepath.Join(dir, d), dir))
		}
	}
	return nil
}

// identity is what makes a data directory a node. The epoch counts its
// starts: it is on disk before the node proposes anything under it.
type identity struct {
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

func newNodeID() rookery.NodeID { return rookery.NodeID("n-" + strings.ToLower(rand.Text()[:16])) }

// ErrInUse is in the chain where another process has the data directory.
var ErrInUse = errors.New("in use by another process")

// LockDir takes the data directory for this process until the file is closed.
func LockDir(dir string) (*os.File, error) {
	const op = "lock data directory"
	if err := durable.MakeDir(dir); err != nil {
		return nil, rookery.E(op, rookery.KindDenied, fmt.Errorf("%w; data_dir must be a directory this user may write", err))
	}
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, rookery.E(op, rookery.KindDenied, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, rookery.E(op, rookery.KindConflict, fmt.Errorf("%s is %w; stop it or choose another directory", dir, ErrInUse))
	}
	return f, nil
}

// hasIdentity reports whether the directory is a node's. A log or state
// without an identity is a disk that lost a file, not a new node: to vote
// again under a new name would be a second vote.
func hasIdentity(dir string, disk vfs.FS) (bool, error) {
	path := filepath.Join(dir, identityFile)
	_, err := os.Stat(path)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, rookery.E("read node identity", rookery.KindUnavailable, err)
	}
	for _, d := range []string{"log", "state"} {
		if _, err := disk.Stat(filepath.Join(dir, d)); err == nil {
			return false, rookery.E("read node identity", rookery.KindDamaged,
				fmt.Errorf("%s is missing but %s is there; bring the file back from a backup of the node, or remove the whole directory and join as a new node", path, d))
		}
	}
	return false, nil
}

// startIdentity reads the identity and moves its epoch on.
func startIdentity(dir string) (identity, error) {
	const op = "read node identity"
	var id identity
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return id, rookery.E(op, rookery.KindUnavailable, err)
	}
	if err := json.Unmarshal(b, &id); err != nil || id.Node == "" {
		return id, rookery.E(op, rookery.KindDamaged, fmt.Errorf("%s cannot be read (%v); bring it back from a backup of the node", path, err))
	}
	id.Epoch++
	return id, saveIdentity(dir, id)
}

// readIdentity reads the identity without starting under it.
func readIdentity(dir string) (id identity, err error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &id)
	}
	if err != nil {
		return id, rookery.E("read node identity", rookery.KindUnavailable, fmt.Errorf("%w; name a node's data directory", err))
	}
	return id, nil
}

func saveIdentity(dir string, id identity) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err == nil {
		err = durable.WriteFile(filepath.Join(dir, identityFile), append(b, '\n'), 0o600)
	}
	if err != nil {
		return rookery.E("write node identity", rookery.KindUnavailable, err)
	}
	return nil
}
