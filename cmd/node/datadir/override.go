package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/internal/durable"
)

// maxOverride bounds, in bytes, what is read of settings of one node alone.
const maxOverride = 64 << 10

// OverridePath is where settings of this node alone lie.
func (d Dir) OverridePath() string { return d.path(overrideFile) }

// Override reads the settings that this node uses in place of the cluster's,
// empty where it has none of its own.
func (d Dir) Override() ([]byte, error) {
	const op = "read settings of this node alone"
	f, err := os.Open(d.OverridePath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxOverride+1))
	if err == nil && len(b) > maxOverride {
		return nil, rookery.E(op, rookery.KindTooLarge, fmt.Errorf("%s has more than %d bytes", d.OverridePath(), maxOverride))
	}
	if err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable, err)
	}
	return b, nil
}

// SaveOverride keeps settings of this node alone, for whom the directory
// belongs to, or removes them where over is empty. The node may run.
// KindNotFound: the directory is no node's.
func (d Dir) SaveOverride(over []byte) error {
	const op = "write settings of this node alone"
	have, err := d.Exists(vfs.Default)
	if err != nil {
		return err
	}
	if !have {
		return rookery.E(op, rookery.KindNotFound, fmt.Errorf("%s is no node's data directory; name it with -data", d))
	}
	path := d.OverridePath()
	if len(over) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return rookery.E(op, rookery.KindDenied, err)
		}
		return nil
	}
	if err := durable.WriteFile(path, over, 0o600); err != nil {
		return rookery.E(op, rookery.KindDenied, err)
	}
	info, err := os.Stat(string(d))
	if err == nil && os.Geteuid() == 0 {
		owner := info.Sys().(*syscall.Stat_t)
		err = os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		return rookery.E(op, rookery.KindDenied, err)
	}
	return nil
}
