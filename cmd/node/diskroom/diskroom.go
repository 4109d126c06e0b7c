// Package diskroom tells whether a disk has room for a node to start, and ends the
// process where a disk fails under it.
//
// It owns neither the log nor the state that lie there.
package diskroom

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// IsFull reports whether an error says that a disk, or a quota on it, is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// exitFull is the command line's code for "unavailable: try again".
const exitFull = 5

// EndProcess is what is done when the disk fails under the log or the state:
// heartbeats would go on without it.
func EndProcess(logger *slog.Logger, err error) {
	if IsFull(err) {
		logger.Error("the disk is full, and what was written last may not be on it: the process ends. Make room, or widen the volume "+
			"or the quota; started again the node waits for room, and nothing acknowledged is lost", "error", err)
		os.Exit(exitFull)
	}
	buf := make([]byte, 64<<10)
	logger.Error("the disk failed or does not answer: the process ends, so that a healthy node leads", "error", err,
		"goroutines", string(buf[:runtime.Stack(buf, true)]))
	os.Exit(1)
}

// A start writes startRoom bytes below the log and below the state, to the
// disk: only that shows a quota, a thin volume or a copy-on-write file system
// that is full. It is also what a node that ended over a full disk gets on with
// before it could end again, so that starts follow each other as room is made,
// not as fast as a supervisor can.
const startRoom = 8 << 20

// Probe writes what a start may need into each of the directories that are there, and
// takes it away again.
func Probe(disk vfs.FS, dirs ...string) error {
	var seed [32]byte
	dice := rand.NewChaCha8(seed) // what compresses would prove nothing
	b := make([]byte, 1<<20)
	for _, dir := range dirs {
		if _, err := disk.Stat(dir); err != nil {
			continue // a first start; what it makes it will see
		}
		if err := probe(disk, dir, b, dice); err != nil {
			return err
		}
	}
	return nil
}

func probe(disk vfs.FS, dir string, b []byte, dice *rand.ChaCha8) error {
	path := filepath.Join(dir, "room.new")
	f, err := disk.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	for n := 0; n < startRoom && err == nil; n += len(b) {
		dice.Read(b)
		_, err = f.Write(b)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), disk.Remove(path))
}
