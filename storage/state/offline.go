package state

import (
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// OpenOffline opens a store that nobody runs, to be read: the directory of a
// stopped node, or a copy of one. It changes nothing in it but the lock file.
// Groups are opened by Group, and their machines give their views; whatever
// writes ends in Options.OnFailure.
//
// Errors: KindNotFound, there is no store; KindUnavailable, a process has it
// open; KindDamaged.
func OpenOffline(dir string, fs vfs.FS, opts Options) (*Store, error) {
	s := newStore(dir, fs, &opts)
	if _, err := fs.Stat(fs.PathJoin(dir, "db")); errors.Is(err, os.ErrNotExist) {
		return nil, rookery.E(opOpen, rookery.KindNotFound, fmt.Errorf("there is no state in %s: %w", dir, err))
	}
	o := s.pebbleOptions(opts)
	o.ReadOnly = true
	if err := s.openDB(o); err != nil {
		return nil, err
	}
	return s, nil
}
