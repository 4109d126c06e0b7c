package export

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rookery"
	"rookery/internal/durable"
)

// opener opens a file for writing: openFile, or in tests a disk that fails.
type opener func(path string, flag int) (io.WriteCloser, error)

func openFile(path string, flag int) (io.WriteCloser, error) {
	return os.OpenFile(path, flag|os.O_WRONLY, 0o600)
}

// target is where an export goes, and the directory beside it where it is until then.
type target struct {
	path  string
	stage string
	// single says that the target is the file zipName of the stage, not all of it.
	single bool
	open   opener
}

func newTarget(path string, single bool, open opener) (*target, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, rookery.E("export", rookery.KindInvalid, err)
	}
	t := &target{path: path, single: single, open: open}
	if err := t.vacant(); err != nil {
		return nil, err
	}
	if t.stage, err = os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.new"); err != nil { // with mode 0700
		return nil, t.failure(err)
	}
	return t, nil
}

// vacant refuses a path at which there is something already.
func (t *target) vacant() error {
	info, err := os.Lstat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return t.failure(err)
	case t.single && info.Mode().IsRegular() && info.Size() == 0:
		return nil
	case t.single || !info.IsDir():
		return t.taken("it exists already")
	}
	d, err := os.Open(t.path)
	if err != nil {
		return t.failure(err)
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); err != io.EOF {
		return t.taken("the directory is not empty")
	}
	return nil
}

func (t *target) taken(why string) error {
	return rookery.E("export to "+t.path, rookery.KindExists, errors.New(why+": name a path where there is nothing"))
}

// failure words an error of the disk. One that has a kind already stays as it is.
func (t *target) failure(err error) error {
	if rookery.KindOf(err) != rookery.KindUnknown {
		return err
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = fmt.Errorf("the disk is full: free room on it, or export to another one: %w", err)
	}
	return rookery.E("export to "+t.path, rookery.KindUnavailable, err)
}

// within is a path in the stage.
func (t *target) within(name string) string { return filepath.Join(t.stage, filepath.FromSlash(name)) }

// create makes a new file in the stage, with the directories above it.
func (t *target) create(name string) (io.WriteCloser, error) {
	path := t.within(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return t.open(path, os.O_CREATE|os.O_EXCL)
}

// commit makes the stage durable and gives it the target's name.
func (t *target) commit() error {
	d, err := os.Open(t.stage)
	if err != nil {
		return t.failure(err)
	}
	err = errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
	if err == nil {
		err = t.vacantStill()
	}
	if err != nil {
		return t.failure(err)
	}
	from := t.stage
	if t.single {
		from = t.within(zipName)
	}
	if err := os.Rename(from, t.path); err != nil { // never onto a directory that is not empty
		return t.failure(err)
	}
	if t.single {
		os.RemoveAll(t.stage)
	}
	t.stage = ""
	if err := durable.SyncDir(filepath.Dir(t.path)); err != nil {
		return t.failure(err)
	}
	return nil
}

// vacantStill looks again: an export may have taken hours.
func (t *target) vacantStill() error {
	if !t.single {
		return nil // the rename itself refuses
	}
	return t.vacant()
}

func (t *target) discard() {
	if t.stage != "" {
		os.RemoveAll(t.stage)
	}
}
