package node

import (
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is a file system in memory that counts its changes and calls cut before
// one of them. It goes on working after that: the node above it does not know
// that all it writes from then on is lost.
type disk struct {
	vfs.FS
	mem     *vfs.MemFS
	changes atomic.Int64
	cutAt   int64 // the change before which the power goes; 0 is never
	cut     func()
	// lies names the area, "log" or "state", whose fsyncs do nothing, or
	// "log state": the mutants that the test must catch.
	lies atomic.Value

	// free is the room it says it has; 0 is that it does not know.
	free atomic.Int64

	mu    sync.Mutex
	kinds map[string]int

	// whole keeps a cut out of the two changes inside which the library's file
	// system takes its lock against cuts twice, for reading: a cut that waits
	// between them waits for ever, and so does everything else.
	whole sync.Mutex
}

func newDisk(mem *vfs.MemFS, cutAt int64, cut func()) *disk {
	return &disk{FS: mem, mem: mem, cutAt: cutAt, cut: cut, kinds: map[string]int{}}
}

// emptyDisk is a disk on which the directory at path survives a power cut, as
// the data directory does whose identity file is written before all else.
func emptyDisk(t *testing.T, path string) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	if err := mem.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		d, err := mem.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		d.Close()
		if dir == filepath.Dir(dir) {
			return mem
		}
	}
}

// survivors are how many percent of the unsynced blocks a cut leaves.
func survivors(rng *rand.Rand) int {
	switch rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return 100
	default:
		return 1 + rng.IntN(99)
	}
}

func (d *disk) tick(kind string) {
	d.mu.Lock()
	d.kinds[kind]++
	d.mu.Unlock()
	if d.changes.Add(1) == d.cutAt {
		d.cut()
	}
}

func (d *disk) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	area := "state"
	if strings.Contains(name, "/log") {
		area = "log"
	}
	return &diskFile{File: f, disk: d, area: area}, nil
}

func (d *disk) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	if free := d.free.Load(); free > 0 {
		return vfs.DiskUsage{AvailBytes: uint64(free), TotalBytes: 1 << 40}, nil
	}
	return d.mem.GetDiskUsage(path)
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	d.tick("create")
	f, err := d.mem.Create(name, c)
	return d.wrap(name, f, err)
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.mem.OpenReadWrite(name, c, o...)
	return d.wrap(name, f, err)
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.mem.OpenDir(name)
	return d.wrap(name, f, err)
}

func (d *disk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	d.tick("rename")
	d.whole.Lock()
	f, err := d.mem.ReuseForWrite(from, to, c)
	d.whole.Unlock()
	return d.wrap(to, f, err)
}

func (d *disk) Lock(name string) (io.Closer, error) {
	d.whole.Lock()
	defer d.whole.Unlock()
	return d.mem.Lock(name)
}

// left is what a power cut at this moment leaves, percent of what was not
// synced included.
func (d *disk) left(percent int, dice *rand.Rand) *vfs.MemFS {
	d.whole.Lock()
	defer d.whole.Unlock()
	return d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: dice})
}

func (d *disk) Rename(from, to string) error {
	d.tick("rename")
	return d.mem.Rename(from, to)
}

func (d *disk) Link(from, to string) error {
	d.tick("link")
	return d.mem.Link(from, to)
}

func (d *disk) Remove(name string) error {
	d.tick("remove")
	return d.mem.Remove(name)
}

type diskFile struct {
	vfs.File
	disk *disk
	area string
}

func (f *diskFile) lies() bool {
	areas, _ := f.disk.lies.Load().(string)
	return strings.Contains(areas, f.area)
}

func (f *diskFile) Write(b []byte) (int, error) {
	f.disk.tick(f.area + " write")
	return f.File.Write(b)
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	f.disk.tick(f.area + " write")
	return f.File.WriteAt(b, off)
}

func (f *diskFile) Sync() error {
	f.disk.tick(f.area + " sync")
	if f.lies() {
		return nil
	}
	return f.File.Sync()
}

func (f *diskFile) SyncData() error {
	f.disk.tick(f.area + " sync")
	if f.lies() {
		return nil
	}
	return f.File.SyncData()
}

func (f *diskFile) SyncTo(length int64) (bool, error) {
	f.disk.tick(f.area + " sync")
	if f.lies() {
		return true, nil
	}
	return f.File.SyncTo(length)
}
