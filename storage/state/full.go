package state

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// tryFull is how often a change that found the disk full is tried again,
// tryTable how long the database waits before it writes a table anew whose
// fsync did.
const (
	tryFull  = 100 * time.Millisecond
	tryTable = time.Second
)

// patient is a file system on which a change that finds the disk full waits
// for room: the database ends the process over an error where its journal or
// its list of tables is concerned. What waits is known to nobody as done. Who
// reads does not wait.
//
// An fsync that fails is never repeated: the system may have dropped what it
// was about and say yes to the next one. A table is written anew by the
// database, as another file. Of anything else nothing may be trusted until it
// has been read back by a new start, so the process ends.
type patient struct {
	vfs.FS
	logger  *slog.Logger
	fail    func(error)
	again   time.Duration
	waits   atomic.Bool  // from the end of Open on
	waiting atomic.Int64 // changes that wait
	unfit   atomic.Bool  // the last table found the disk full at its fsync
}

// isFull reports whether an error says that the disk, or a quota on it, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// do runs a change until it meets room, or another error.
func (p *patient) do(change func() error) error {
	err := change()
	if !isFull(err) || !p.waits.Load() {
		return err
	}
	if p.waiting.Add(1) == 1 {
		p.logger.Error("the disk is full: changes of the state wait until there is room", "error", err)
	}
	began := time.Now()
	for isFull(err) {
		time.Sleep(tryFull)
		err = change()
	}
	if p.waiting.Add(-1) == 0 {
		p.logger.Info("the disk has room again", "waited", time.Since(began).Round(tryFull))
	}
	return err
}

// open runs a change that gives a file.
func (p *patient) open(name string, change func() (vfs.File, error)) (vfs.File, error) {
	f := &patientFile{on: p, name: name, table: strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")}
	err := p.do(func() (err error) { f.File, err = change(); return err })
	if err != nil {
		return nil, f.opening(err)
	}
	return f, nil
}

// opening ends a start that cannot write a table: the database would try for
// ever, as fast as it can, before Open returns.
func (f *patientFile) opening(err error) error {
	if p := f.on; err != nil && f.table && !p.waits.Load() {
		p.fail(rookery.E("open state", rookery.KindUnavailable, fmt.Errorf("%s: %w", f.name, err)))
	}
	return err
}

// synced is told what an fsync of a file came to.
func (p *patient) synced(f *patientFile, err error) error {
	switch {
	case !f.table && err != nil: // some callers in the database would panic
		p.fail(rookery.E("sync state", rookery.KindUnavailable, fmt.Errorf("%s: %w", f.name, err)))
	case !p.waits.Load():
		return f.opening(err)
	case f.table && err == nil:
		if p.unfit.CompareAndSwap(true, false) {
			p.logger.Info("the disk has room again: a table is on it")
		}
	case f.table && isFull(err):
		if p.unfit.CompareAndSwap(false, true) {
			p.logger.Error("the disk is full: a table of the state does not get onto it and is written anew until it does", "error", err)
		}
		time.Sleep(p.again)
	}
	return err
}

// Create implements vfs.FS.
func (p *patient) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(p.PathBase(name), "marker.") {
		if err := p.settle(p.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return p.open(name, func() (vfs.File, error) { return p.FS.Create(name, c) })
}

// settle syncs the names in a directory before a marker joins them. The database
// makes the file that a marker points to and the marker itself without a sync in
// between; a file system that does not keep the order of names could have the
// marker alone after a power cut, and then nothing opens.
func (p *patient) settle(dir string) error {
	d, err := p.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReuseForWrite implements vfs.FS. A first attempt may have renamed the file.
func (p *patient) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	again := false
	return p.open(to, func() (vfs.File, error) {
		if _, err := p.FS.Stat(from); again && errors.Is(err, os.ErrNotExist) {
			return p.FS.OpenReadWrite(to, c)
		}
		again = true
		return p.FS.ReuseForWrite(from, to, c)
	})
}

// OpenReadWrite implements vfs.FS.
func (p *patient) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return p.open(name, func() (vfs.File, error) { return p.FS.OpenReadWrite(name, c, o...) })
}

// OpenDir implements vfs.FS.
func (p *patient) OpenDir(name string) (vfs.File, error) {
	return p.open(name, func() (vfs.File, error) { return p.FS.OpenDir(name) })
}

// Link implements vfs.FS.
func (p *patient) Link(from, to string) error {
	return p.do(func() error { return p.FS.Link(from, to) })
}

// Rename implements vfs.FS.
func (p *patient) Rename(from, to string) error {
	return p.do(func() error { return p.FS.Rename(from, to) })
}

// MkdirAll implements vfs.FS.
func (p *patient) MkdirAll(dir string, mode os.FileMode) error {
	return p.do(func() error { return p.FS.MkdirAll(dir, mode) })
}

// Unwrap implements vfs.FS.
func (p *patient) Unwrap() vfs.FS { return p.FS }

type patientFile struct {
	vfs.File
	on    *patient
	name  string
	table bool
}

// Write implements io.Writer: what a full disk has taken of it stays.
func (f *patientFile) Write(b []byte) (done int, err error) {
	err = f.on.do(func() error {
		n, err := f.File.Write(b[done:])
		done += n
		return err
	})
	return done, f.opening(err)
}

// WriteAt implements io.WriterAt.
func (f *patientFile) WriteAt(b []byte, off int64) (done int, err error) {
	err = f.on.do(func() error {
		n, err := f.File.WriteAt(b[done:], off+int64(done))
		done += n
		return err
	})
	return done, f.opening(err)
}

// Sync implements vfs.File.
func (f *patientFile) Sync() error { return f.on.synced(f, f.File.Sync()) }

// SyncData implements vfs.File.
func (f *patientFile) SyncData() error { return f.on.synced(f, f.File.SyncData()) }

// SyncTo implements vfs.File: it takes a failure of the writes before it, so
// that no later fsync would tell of them.
func (f *patientFile) SyncTo(length int64) (full bool, err error) {
	full, err = f.File.SyncTo(length)
	if err != nil {
		err = f.on.synced(f, err)
	}
	return full, err
}

// Preallocate implements vfs.File: without room it is left out, and the write
// for which it was meant waits.
func (f *patientFile) Preallocate(off, length int64) error {
	if err := f.File.Preallocate(off, length); !isFull(err) {
		return err
	}
	return nil
}

// closeView ends a snapshot. The database looks then whether it has something
// to clear away and waits for whoever writes its list of tables: on a full disk
// that is not the reader's to wait for.
func (s *Store) closeView(v *pebble.Snapshot) {
	if !s.Full() {
		_ = v.Close() // the only error is closing twice
		return
	}
	s.views.Go(func() { _ = v.Close() }) // Store.Close waits for it
}

// Full reports whether changes of the state wait for room on the disk. Then
// what Apply and Sync are asked for may not return before there is some; views
// are given, and show what was applied before.
func (s *Store) Full() bool { return s.patient.waiting.Load() > 0 || s.patient.unfit.Load() }
