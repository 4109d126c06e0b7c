package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"syscall"

	"rookery"
	"rookery/storage/blob"
)

// Put implements blob.Store: temporary file, fsync, rename, fsync of the
// directory.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	const op = "write object"
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if size < 0 {
		return rookery.E(op, rookery.KindInvalid, fmt.Errorf("size %d is negative", size))
	}
	temp := path.Join(tempDir, s.tag+"-"+strconv.FormatUint(s.seq.Add(1), 10))
	err := s.writeTemp(ctx, temp, r, size)
	if err == nil {
		err = s.link(temp, key, o.IfAbsent)
	}
	if err != nil {
		s.root.Remove(temp)
		if rookery.Is(err, rookery.KindNotFound) || errors.Is(err, fs.ErrNotExist) {
			return rookery.E(op, rookery.KindUnavailable, err) // the directory went away
		}
		return fail(op, err)
	}
	return nil
}

func (s *Store) writeTemp(ctx context.Context, temp string, r io.Reader, size int64) error {
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(struct{ io.Writer }{f}, &source{ctx, blob.Exactly(r, size)})
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// source ends a copy when the context does.
type source struct {
	ctx context.Context
	r   io.Reader
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, rookery.E("write object", rookery.KindUnavailable, err)
	}
	return s.r.Read(p)
}

// Copy implements blob.Copier.
func (s *Store) Copy(ctx context.Context, from, to string) error {
	info, err := s.Stat(ctx, from)
	if err != nil {
		return err
	}
	r, err := s.Get(ctx, from, 0, info.Size)
	if err != nil {
		return err
	}
	defer r.Close()
	return s.Put(ctx, to, r, info.Size, blob.PutOptions{})
}

// link moves the finished file to its key and makes that durable.
func (s *Store) link(temp, key string, ifAbsent bool) error {
	parent := path.Dir(key)
	if err := s.makeDir(parent); err != nil {
		return err
	}
	if ifAbsent {
		// A hard link is the one rename that refuses to replace.
		if err := s.root.Link(temp, key); err != nil {
			return err
		}
		s.root.Remove(temp)
	} else if err := s.root.Rename(temp, key); err != nil {
		if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.EISDIR) {
			err = rookery.E("write object", rookery.KindInvalid, fmt.Errorf("%s is another key's directory", key))
		}
		return err
	}
	return s.syncDir(parent)
}

// makeDir makes a directory and those above it and sees to it, once for each
// in this process's life, that they are durable: one that exists may just have
// been made by another process that has not synced it yet.
func (s *Store) makeDir(name string) error {
	if name == "." {
		return nil
	}
	s.mu.Lock()
	known := s.durable[name]
	s.mu.Unlock()
	if known {
		return nil
	}
	parent := path.Dir(name)
	if err := s.makeDir(parent); err != nil {
		return err
	}
	if err := s.root.Mkdir(name, 0o700); err != nil {
		if !errors.Is(err, fs.ErrExist) {
			return dirError(name, err)
		}
		info, err := s.root.Lstat(name)
		if err != nil {
			return fail("make directory", err)
		}
		if !info.IsDir() {
			return dirError(name, syscall.ENOTDIR)
		}
	}
	if err := s.syncDir(parent); err != nil {
		return err
	}
	s.mu.Lock()
	s.durable[name] = true
	s.mu.Unlock()
	return nil
}

func dirError(name string, err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return rookery.E("make directory", rookery.KindInvalid, fmt.Errorf("%s is or lies below another key", name))
	}
	return fail("make directory", err)
}

func (s *Store) syncDir(name string) error {
	d, err := s.root.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

// Delete implements blob.Store. It goes on after a failure and returns the
// first.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	dirty := make(map[string]bool)
	var failed error
	note := func(err error) {
		if failed == nil && err != nil && !rookery.Is(err, rookery.KindNotFound) {
			failed = err
		}
	}
	for _, key := range keys {
		removed, err := s.remove(ctx, key)
		if removed {
			dirty[path.Dir(key)] = true
		}
		note(err)
	}
	for d := range dirty {
		if err := s.syncDir(d); err != nil {
			note(fail("delete object", err))
		}
	}
	return failed
}

func (s *Store) remove(ctx context.Context, key string) (bool, error) {
	if err := checkRange(ctx, key, 0); err != nil {
		return false, err
	}
	info, err := s.root.Lstat(key)
	if err == nil && !info.Mode().IsRegular() {
		return false, nil // not an object
	}
	if err == nil {
		err = s.root.Remove(key)
	}
	if err != nil {
		return false, fail("delete object", err)
	}
	return true, nil
}
