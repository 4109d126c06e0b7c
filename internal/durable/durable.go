// Package durable writes files so that they outlive a power cut: a file that
// is replaced is afterwards the old one or the new one, whole, and once the
// call has returned it is the new one.
//
// It owns the order of write, fsync, rename and fsync of the directory on the
// operating system's files, for whatever is small and replaced as a whole:
// keys, identities, settings of a node. It never writes what has a format of
// its own for that: the log, the state (both on Pebble's file system seam) and
// the objects of blob/dir.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is a file that is being written and does not have its name yet.
type File struct {
	*os.File
	path string
	done bool
}

// Create begins the file path with the given mode, beside a file of that name
// that stays until Commit. Discard must be called in any case.
func Create(path string, mode fs.FileMode) (*File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.new")
	if err != nil {
		return nil, err
	}
	d := &File{File: f, path: path}
	if err := f.Chmod(mode); err != nil {
		d.Discard()
		return nil, err
	}
	return d, nil
}

// Commit gives the file its name. With an error the old file, if any, may be
// there or the new one, but never a part of it.
func (f *File) Commit() error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return err
	}
	f.done = true
	return SyncDir(filepath.Dir(f.path))
}

// Discard removes the file unless it was committed.
func (f *File) Discard() {
	if !f.done {
		f.Close()
		os.Remove(f.Name())
	}
}

// WriteFile replaces the file path, or makes it, with this content and mode.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	f, err := Create(path, mode)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

// Unfinished lists what crashes left beside path: files that were begun and
// never committed. One that is being written now is among them.
func Unfinished(path string) ([]string, error) {
	all, err := os.ReadDir(filepath.Dir(path))
	var left []string
	for _, e := range all {
		if strings.HasPrefix(e.Name(), "."+filepath.Base(path)+".") && strings.HasSuffix(e.Name(), ".new") {
			left = append(left, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return left, err
}

// SyncDir makes the names in a directory durable: what was made, renamed and
// removed there.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MakeDir makes a directory and its missing parents with mode 0700, durably.
func MakeDir(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var made []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, d)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range made {
		if err := SyncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	return nil
}
