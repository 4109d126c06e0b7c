package state

import (
	"io"
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// OpenScratch opens a small store in an empty directory, for rows that may be lost:
// those that are looked at for a while and then removed with the directory.
func OpenScratch(dir string) (*Store, error) {
	return Open(dir, vfs.Default, Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), CacheBytes: 8 << 20, MemTableBytes: 8 << 20})
}
