package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/internal/durable"
)

// Dir is a data directory, by its path. Its log and state may lie on another
// file system than the operating system's, which the methods that look at them
// are given; everything else lies on the disk.
type Dir string

// The files below a data directory.
const (
	identityFile   = "node.json"
	certificateDir = "identity"          // certificate, key and CAs
	authorityKey   = "keys/ca.key"       // the cluster CA's key: any node admits others
	tenantKeys     = "keys/tenant.json"  // the keyring of account keys
	settingsKeys   = "keys/settings.key" // the keyring that opens sealed settings and encrypts gossip
	seedsFile      = "seeds.json"        // where others were last known to be
	momentFile     = "lineage.json"      // how far the directory has come
	supersededFile = "superseded"        // why it must not be started again
	recoveryFile   = "recovery.json"     // a recovery that was begun here
	kitFile        = "kit.json"          // when a recovery kit was last written
	overrideFile   = "override.toml"     // settings of this node alone
)

func (d Dir) path(name string) string { return filepath.Join(string(d), name) }

// ErrInUse is in the chain where another process has the data directory.
var ErrInUse = errors.New("in use by another process")

// Lock takes the data directory, made if need be, for this process until the
// file is closed.
func (d Dir) Lock() (*os.File, error) {
	const op = "lock data directory"
	if err := durable.MakeDir(string(d)); err != nil {
		return nil, rookery.E(op, rookery.KindDenied, fmt.Errorf("%w; data_dir must be a directory this user may write", err))
	}
	f, err := os.OpenFile(d.path("LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, rookery.E(op, rookery.KindDenied, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, rookery.E(op, rookery.KindConflict, fmt.Errorf("%s is %w; stop it or choose another directory", d, ErrInUse))
	}
	return f, nil
}

// parts are the directories that Raft's promises lie in.
var parts = []string{"log", "state"}

// Parts are the directories of the log and of the state.
func (d Dir) Parts() []string { return []string{d.path(parts[0]), d.path(parts[1])} }

// Exists reports whether the directory is a node's. A log or state without an
// identity is a disk that lost a file, not a new node: to vote again under a
// new name would be a second vote.
func (d Dir) Exists(disk vfs.FS) (bool, error) {
	path := d.path(identityFile)
	_, err := os.Stat(path)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, rookery.E("read node identity", rookery.KindUnavailable, err)
	}
	for _, part := range parts {
		if _, err := disk.Stat(d.path(part)); err == nil {
			return false, rookery.E("read node identity", rookery.KindDamaged,
				fmt.Errorf("%s is missing but %s is there; bring the file back from a backup of the node, or remove the whole directory and "+
					"join as a new node", path, part))
		}
	}
	return false, nil
}

func (d Dir) refuseExisting(op string, disk vfs.FS) error {
	have, err := d.Exists(disk)
	if err == nil && have {
		err = rookery.E(op, rookery.KindExists, fmt.Errorf("%s holds a node already; choose another data_dir, or remove it if nothing "+
			"in it is needed", d))
	}
	return err
}

// refuseEmpty ends the start of a node that has held groups and whose log or
// state is gone.
func (d Dir) refuseEmpty(id Identity, disk vfs.FS) error {
	if !id.Held {
		return nil
	}
	for _, part := range parts {
		if _, err := disk.Stat(d.path(part)); errors.Is(err, fs.ErrNotExist) {
			return rookery.E("open node", rookery.KindDamaged,
				fmt.Errorf("%s is missing, which this node has voted with: mount it if it lies on a disk of its own; if it is lost, take "+
					"the node off with rookery remove, remove %s and join as a new node", d.path(part), d))
		}
	}
	return nil
}
