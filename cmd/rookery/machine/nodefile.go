package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rookery"
	"rookery/cmd/node/settings"
)

// LoadNodeFile reads the node file at path.
func LoadNodeFile(path string) (settings.Node, error) {
	const op = "read node file"
	b, err := os.ReadFile(path)
	if err != nil {
		kind := rookery.KindUnavailable
		if errors.Is(err, fs.ErrNotExist) {
			kind = rookery.KindNotFound
		}
		return settings.Node{}, rookery.E(op, kind, err)
	}
	c, err := settings.ParseNode(b)
	if err != nil {
		return c, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%s: %w", path, err))
	}
	return c, nil
}

// BackupStore reads where a backup lies: from is its directory, or a TOML file with the
// keys of [backup].
func BackupStore(from string) (settings.Store, error) {
	const op = "open backup"
	info, err := os.Stat(from)
	if err != nil {
		return settings.Store{}, rookery.E(op, rookery.KindInvalid, err)
	}
	if info.IsDir() {
		path, err := filepath.Abs(from)
		return settings.Store{Kind: "dir", Path: path}, err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return settings.Store{}, rookery.E(op, rookery.KindInvalid, err)
	}
	set, err := settings.ParseBackup(b)
	if err != nil {
		return settings.Store{}, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%s: %w", from, err))
	}
	return set.Store(), nil
}
