// Package faultdisk is a disk in memory under a page cache, as operating systems
// have one: an fsync that fails drops what it was about. Those pages are
// clean from then on, later fsyncs succeed without them, and who reads still
// sees them, also after the process has ended, until the power goes. It owns
// nothing but that: no product code imports it.
package faultdisk

import (
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// page is the unit in which the cache is written: a write to a part of one
// makes all of it go to the disk with the next fsync.
const page = 4096

// Disk is the disk as one process sees it, from its start to its end.
type Disk struct {
	vfs.FS
	*platter
	life int
}

// platter is what outlives a process.
type platter struct {
	mem *vfs.MemFS

	mu    sync.Mutex
	life  int // of the process that runs
	syncs int // so far
	fail  int // the fsync that fails, and all after it; 0 is none
	with  error
	files map[string]*inode // by their present names
}

// inode is what is known of one file besides its bytes.
type inode struct {
	dirty []span
	lost  map[int64][]byte // by offset: what the disk has where the cache has more
}

type span struct{ off, length int64 }

// New gives an empty disk.
func New() *Disk { return on(vfs.NewCrashableMem()) }

func on(mem *vfs.MemFS) *Disk {
	return &Disk{FS: mem, platter: &platter{mem: mem, files: map[string]*inode{}}}
}

// Fail makes the n-th fsync from now on fail with err, and all that follow. 0
// ends that.
func (d *Disk) Fail(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail, d.with = 0, err
	if n > 0 {
		d.fail = d.syncs + n
	}
}

// Syncs is how many fsyncs there were.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// Restart ends the process: a change that it is still about to make waits for
// ever. The next process sees what the cache holds, through the disk it gives.
func (d *Disk) Restart() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.platter.life++
	return &Disk{FS: d.mem, platter: d.platter, life: d.platter.life}
}

// PowerCut is the disk as a power cut at this moment leaves it: what the cache
// alone had is gone. The process of this disk knows nothing of it.
func (d *Disk) PowerCut() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := d.mem.CrashClone(vfs.CrashCloneCfg{})
	for name, i := range d.files {
		if len(i.lost) > 0 {
			i.forget(left, name)
		}
	}
	return on(left)
}

// forget takes away from a file what never reached the disk.
func (i *inode) forget(left *vfs.MemFS, name string) {
	f, err := left.OpenReadWrite(name, "")
	if err != nil {
		return // nor did its name
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	for off, old := range i.lost {
		if n := min(int64(len(old)), info.Size()-off); n > 0 {
			if _, err := f.WriteAt(old[:n], off); err != nil {
				panic(err)
			}
		}
	}
}

// act runs a change of the process, unless that has ended.
func (d *Disk) act(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life != d.platter.life {
		d.mu.Unlock()
		select {}
	}
	change()
}

// file opens a file with a change.
func (d *Disk) file(name string, fresh bool, change func() (vfs.File, error)) (f vfs.File, err error) {
	d.act(func() {
		if f, err = change(); err != nil {
			return
		}
		if d.files[name] == nil || fresh {
			d.files[name] = &inode{lost: map[int64][]byte{}}
		}
		f = &file{File: f, disk: d, name: name, inode: d.files[name]}
	})
	return f, err
}

// Create implements vfs.FS.
func (d *Disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(name, true, func() (vfs.File, error) { return d.mem.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (d *Disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.file(name, false, func() (vfs.File, error) { return d.mem.OpenReadWrite(name, c, o...) })
}

// OpenDir implements vfs.FS.
func (d *Disk) OpenDir(name string) (vfs.File, error) {
	return d.file(name, false, func() (vfs.File, error) { return d.mem.OpenDir(name) })
}

// ReuseForWrite implements vfs.FS.
func (d *Disk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Rename(from, to); err != nil {
		return nil, err
	}
	return d.OpenReadWrite(to, c)
}

// Rename implements vfs.FS.
func (d *Disk) Rename(from, to string) (err error) {
	d.act(func() {
		if err = d.mem.Rename(from, to); err == nil {
			d.files[to] = d.files[from]
			delete(d.files, from)
		}
	})
	return err
}

// Link implements vfs.FS.
func (d *Disk) Link(from, to string) (err error) {
	d.act(func() {
		if err = d.mem.Link(from, to); err == nil {
			d.files[to] = d.files[from]
		}
	})
	return err
}

// Remove implements vfs.FS.
func (d *Disk) Remove(name string) (err error) {
	d.act(func() {
		if err = d.mem.Remove(name); err == nil {
			delete(d.files, name)
		}
	})
	return err
}

// RemoveAll implements vfs.FS.
func (d *Disk) RemoveAll(name string) (err error) {
	d.act(func() { err = d.mem.RemoveAll(name) })
	return err
}

// MkdirAll implements vfs.FS.
func (d *Disk) MkdirAll(dir string, mode os.FileMode) (err error) {
	d.act(func() { err = d.mem.MkdirAll(dir, mode) })
	return err
}

// Lock implements vfs.FS: one process follows another here.
func (d *Disk) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// file notes which pages the cache has and the disk has not.
type file struct {
	vfs.File
	disk  *Disk
	name  string
	inode *inode
	pos   int64
}

// wrote notes that the pages of a write go to the disk with the next fsync.
func (f *file) wrote(off int64, n int) {
	if n == 0 {
		return
	}
	f.inode.dirty = append(f.inode.dirty, span{off, int64(n)})
	for p := off &^ (page - 1); p < off+int64(n); p += page {
		delete(f.inode.lost, p)
	}
}

// Write implements io.Writer.
func (f *file) Write(b []byte) (n int, err error) {
	f.disk.act(func() {
		n, err = f.File.Write(b)
		f.wrote(f.pos, n)
		f.pos += int64(n)
	})
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(b []byte, off int64) (n int, err error) {
	f.disk.act(func() {
		n, err = f.File.WriteAt(b, off)
		f.wrote(off, n)
	})
	return n, err
}

// Sync implements vfs.File.
func (f *file) Sync() (err error) {
	d := f.disk
	d.act(func() {
		if d.syncs++; d.fail == 0 || d.syncs < d.fail {
			if err = f.File.Sync(); err == nil {
				f.inode.dirty = nil
			}
			return
		}
		err = &os.PathError{Op: "sync", Path: f.name, Err: d.with}
		f.drop()
	})
	return err
}

// drop makes what is not on the disk clean.
func (f *file) drop() {
	if len(f.inode.dirty) == 0 {
		return
	}
	var had []byte // what the disk has
	old := f.disk.mem.CrashClone(vfs.CrashCloneCfg{})
	if h, err := old.Open(f.name); err == nil {
		had, err = io.ReadAll(h)
		if err != nil {
			panic(err)
		}
		h.Close()
	}
	for _, s := range f.inode.dirty {
		for p := s.off &^ (page - 1); p < s.off+s.length; p += page {
			b := make([]byte, page)
			if p < int64(len(had)) {
				copy(b, had[p:])
			}
			if f.inode.lost[p] == nil { // else it is what was lost before
				f.inode.lost[p] = b
			}
		}
	}
	f.inode.dirty = nil
}

// SyncData implements vfs.File.
func (f *file) SyncData() error { return f.Sync() }

// SyncTo implements vfs.File.
func (f *file) SyncTo(int64) (bool, error) { return true, f.Sync() }
