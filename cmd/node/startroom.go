package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// A start writes this much below the log and below the state, to the disk: only
// that shows a quota, a thin volume or a copy-on-write file system that is
// full. It is also what a node that ended over a full disk gets on with before
// it could end again, so that starts follow each other as room is made, not as
// fast as a supervisor can.
const (
	startRoom = 8 << 20
	tryStart  = 5 * time.Second
	sayStart  = time.Minute
)

// isFull reports whether an error says that a disk, or a quota on it, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// endProcess is what is done when the disk fails under the log or the state, and
// Deps do not say otherwise: heartbeats would go on without it.
func (d *Deps) endProcess(err error) {
	if isFull(err) {
		d.Logger.Error("the disk is full, and what was written last may not be on it: the process ends. Make room, or widen the volume or the quota; started again the node waits for room, and nothing acknowledged is lost", "error", err)
		os.Exit(exitFull)
	}
	buf := make([]byte, 64<<10)
	d.Logger.Error("the disk failed or does not answer: the process ends, so that a healthy node leads", "error", err,
		"goroutines", string(buf[:runtime.Stack(buf, true)]))
	os.Exit(1)
}

// stateFailed is endProcess, or what Deps have in its place, for the state: it
// must not go on.
func (d *Deps) stateFailed(err error) {
	d.OnStall(err)
	panic(err)
}

// exitFull is the command line's code for "unavailable: try again".
const exitFull = 5

// awaitRoom lets a start go on where the disk takes what it writes. Else it
// fails, or waits where Deps say so.
func (n *Node) awaitRoom(ctx context.Context) error {
	const op = "open node"
	said := time.Time{}
	for {
		err := n.probeRoom()
		if err == nil {
			n.health.holdUp("")
			return nil
		}
		if !isFull(err) {
			return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("the disk cannot be written: %w", err))
		}
		err = rookery.E(op, rookery.KindUnavailable, fmt.Errorf("the disk is full: make room, or widen the volume or the quota under %s: %w", n.cfg.DataDir, err))
		if !n.deps.AwaitRoom {
			return err
		}
		if now := time.Now(); now.Sub(said) >= sayStart {
			said = now
			n.deps.Logger.Error("the node waits for room before it starts; the rest of the cluster goes on without it", "error", err)
		}
		n.health.holdUp("the disk is full: waiting for room")
		select {
		case <-time.After(n.deps.tuning.roomAgain()):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// probeRoom writes what a start may need and takes it away again.
func (n *Node) probeRoom() error {
	var seed [32]byte
	dice := rand.NewChaCha8(seed) // what compresses would prove nothing
	b := make([]byte, 1<<20)
	for _, dir := range []string{"log", "state"} {
		dir = filepath.Join(n.cfg.DataDir, dir)
		if _, err := n.deps.FS.Stat(dir); err != nil {
			continue // a first start; what it makes it will see
		}
		if err := probeDir(n.deps.FS, dir, b, dice); err != nil {
			return err
		}
	}
	return nil
}

func probeDir(fs vfs.FS, dir string, b []byte, dice *rand.ChaCha8) error {
	path := filepath.Join(dir, "room.new")
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
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
	return errors.Join(err, f.Close(), fs.Remove(path))
}
