//go:build chaos

package node

import (
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A binary built with -tags chaos takes orders from its environment, for
// test/chaos alone: ROOKERY_MUTANT=no-barrier leaves the barrier of reads out,
// ROOKERY_CLOCK names a file that holds by how much the clock is wrong, and
// ROOKERY_DISK one that holds how much longer every sync takes. ROOKERY_SHORT
// makes sizes and lives short.
var noBarrier = os.Getenv("ROOKERY_MUTANT") == "no-barrier"

func systemClock() func() time.Time {
	path := os.Getenv("ROOKERY_CLOCK")
	if path == "" {
		return time.Now
	}
	order := &order{path: path}
	return func() time.Time { return time.Now().Add(order.now()) }
}

// systemTuning has bodies leave the log for packs, and packs be worn, rewritten,
// dead, deleted and forgotten within a minute or two.
func systemTuning(t tuning) tuning {
	if os.Getenv("ROOKERY_SHORT") == "" {
		return t
	}
	t.segment, t.logBudget, t.memTable = 1<<20, 2<<20, 1<<20
	t.snapshots, t.snapshotEvery, t.trailing = 500, 3*time.Second, 256<<10
	t.packAge, t.packSweep, t.packRetry = 2*time.Second, 5*time.Second, time.Second
	t.packDead, t.packLife, t.purge = 30*time.Second, time.Minute, 5*time.Second
	return t
}

func systemDisk() vfs.FS {
	path := os.Getenv("ROOKERY_DISK")
	if path == "" {
		return vfs.Default
	}
	return slowDisk{vfs.Default, &order{path: path}}
}

// order is a time in a file, which is read again every 100 ms; without the file
// it is zero.
type order struct {
	path string

	mu   sync.Mutex
	read time.Time
	time time.Duration
}

func (o *order) now() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.Sub(o.read) > 100*time.Millisecond {
		o.read, o.time = now, 0
		if b, err := os.ReadFile(o.path); err == nil {
			o.time, _ = time.ParseDuration(strings.TrimSpace(string(b)))
		}
	}
	return o.time
}

// wait returns when the time in force has passed, or the order is withdrawn.
func (o *order) wait() {
	for began := time.Now(); time.Since(began) < o.now(); {
		time.Sleep(2 * time.Millisecond)
	}
}

// slowDisk takes the ordered time for every sync.
type slowDisk struct {
	vfs.FS
	order *order
}

type slowFile struct {
	vfs.File
	order *order
}

func (d slowDisk) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return slowFile{f, d.order}, nil
}

func (d slowDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(d.FS.Create(name, c))
}

func (d slowDisk) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	return d.file(d.FS.Open(name, o...))
}

func (d slowDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.file(d.FS.OpenReadWrite(name, c, o...))
}

func (d slowDisk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(d.FS.ReuseForWrite(from, to, c))
}

func (f slowFile) Sync() error {
	f.order.wait()
	return f.File.Sync()
}

func (f slowFile) SyncData() error {
	f.order.wait()
	return f.File.SyncData()
}

func (f slowFile) SyncTo(n int64) (bool, error) {
	f.order.wait()
	return f.File.SyncTo(n)
}
