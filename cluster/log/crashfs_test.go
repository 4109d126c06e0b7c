package log

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// crashFS is a disk that can lose power. It keeps the writes no fsync has
// followed; cut gives a disk on which any sectors of them survived. Sectors
// that survive are in the new disk's page cache, not yet on its platter, so a
// second power cut can take them.
type crashFS struct {
	vfs.FS
	mem *vfs.MemFS
	// noSync makes fsync a lie: the mutant that the test has to catch.
	noSync bool
	// step, if set, is called before and after every change.
	step atomic.Pointer[func()]

	mu    sync.Mutex
	files map[string]*unsynced // by their present names
}

// unsynced is a file's writes since its last fsync; it follows renames.
type unsynced struct{ writes []write }

type write struct {
	off  int64
	data []byte
}

func newCrashFS(mem *vfs.MemFS) *crashFS {
	return &crashFS{FS: mem, mem: mem, files: map[string]*unsynced{}}
}

const sector = 512

// survivors says which sectors of a lost power's unsynced writes remain.
type survivors uint8

const (
	none survivors = iota
	all
	half
	few
	most
	headless // every write but its first sector
	latest   // the last write of each file alone
	policies
)

func (c *crashFS) cut(p survivors, rng *rand.Rand) *vfs.MemFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.mem.CrashClone(vfs.CrashCloneCfg{})
	for name, file := range c.files {
		if _, err := out.Stat(name); err != nil {
			continue // its name was never synced
		}
		f, err := out.OpenReadWrite(name, "")
		if err != nil {
			panic(err)
		}
		for n, w := range file.writes {
			sectors := (len(w.data) + sector - 1) / sector
			for i := range sectors {
				keep := false
				switch p {
				case all:
					keep = true
				case half:
					keep = rng.IntN(2) == 0
				case few:
					keep = rng.IntN(8) == 0
				case most:
					keep = rng.IntN(8) != 0
				case headless:
					keep = i > 0
				case latest:
					keep = n == len(file.writes)-1
				}
				if keep {
					b := w.data[i*sector : min((i+1)*sector, len(w.data))]
					if _, err := f.WriteAt(b, w.off+int64(i*sector)); err != nil {
						panic(err)
					}
				}
			}
		}
		f.Close()
	}
	return out
}

func (c *crashFS) tick() {
	if f := c.step.Load(); f != nil {
		(*f)()
	}
}

func (c *crashFS) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[name] == nil {
		c.files[name] = &unsynced{}
	}
	return &crashFile{File: f, fs: c, unsynced: c.files[name]}, nil
}

func (c *crashFS) Create(name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	c.mu.Lock()
	delete(c.files, name)
	c.mu.Unlock()
	f, err := c.mem.Create(name, cat)
	return c.wrap(name, f, err)
}

func (c *crashFS) OpenReadWrite(name string, cat vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := c.mem.OpenReadWrite(name, cat, o...)
	return c.wrap(name, f, err)
}

func (c *crashFS) OpenDir(name string) (vfs.File, error) {
	f, err := c.mem.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &crashFile{File: f, fs: c, unsynced: &unsynced{}}, nil
}

func (c *crashFS) Rename(from, to string) error {
	c.tick()
	c.mu.Lock()
	c.files[to] = c.files[from]
	delete(c.files, from)
	c.mu.Unlock()
	return c.mem.Rename(from, to)
}

func (c *crashFS) Remove(name string) error {
	c.tick()
	c.mu.Lock()
	delete(c.files, name)
	c.mu.Unlock()
	return c.mem.Remove(name)
}

type crashFile struct {
	vfs.File
	fs       *crashFS
	unsynced *unsynced
	pos      int64
}

func (f *crashFile) record(b []byte, off int64) {
	f.fs.mu.Lock()
	f.unsynced.writes = append(f.unsynced.writes, write{off, append([]byte(nil), b...)})
	f.fs.mu.Unlock()
}

func (f *crashFile) Write(b []byte) (int, error) {
	f.record(b, f.pos)
	f.pos += int64(len(b))
	return f.File.Write(b)
}

func (f *crashFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.tick()
	f.record(b, off)
	n, err := f.File.WriteAt(b, off)
	f.fs.tick()
	return n, err
}

func (f *crashFile) Sync() error {
	if f.fs.noSync {
		return nil
	}
	f.fs.tick()
	if err := f.File.Sync(); err != nil {
		return err
	}
	f.fs.mu.Lock()
	f.unsynced.writes = nil
	f.fs.mu.Unlock()
	f.fs.tick()
	return nil
}

func (f *crashFile) SyncData() error { return f.Sync() }
