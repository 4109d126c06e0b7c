// Package dir keeps objects as files below one directory. It is the object
// store of tries, tests and single sites with a shared disk.
//
// It owns the files below its root: an object is a file at its key's path,
// written beside, synced and renamed into place, so a reader or a power cut
// sees all of it or nothing. It never follows a symbolic link out of its root,
// removes a directory, or caches. Several processes may use one directory.
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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rookery"
	"rookery/storage/blob"
)

// tempDir holds files being written. Keys cannot name it: no part of a key
// starts with a dot.
const tempDir = ".incoming"

// leftoverAge is when a file in tempDir has certainly lost its writer.
const leftoverAge = 24 * time.Hour

// Store is a blob.Store on a directory.
type Store struct {
	root *os.Root
	name string // for errors
	seq  atomic.Uint64
	tag  string // tells this process's temporary files from another's

	mu      sync.Mutex
	durable map[string]bool // directories whose entry in their parent was synced
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in the directory at name, which is made if it does not
// exist, and clears leftovers of writers that died more than a day ago.
func Open(name string) (*Store, error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return nil, fail("open object directory", err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fail("open object directory", err)
	}
	s := &Store{root: root, name: name, durable: make(map[string]bool),
		tag: strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)}
	if err := s.makeDir(tempDir); err != nil {
		root.Close()
		return nil, err
	}
	s.clearLeftovers(time.Now().Add(-leftoverAge))
	return s, nil
}

// Close releases the directory. Readers that are open stay valid.
func (s *Store) Close() error { return s.root.Close() }

func (s *Store) clearLeftovers(before time.Time) {
	entries, err := fs.ReadDir(s.root.FS(), tempDir)
	if err != nil {
		return // they cost space only
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().Before(before) {
			s.root.Remove(path.Join(tempDir, e.Name()))
		}
	}
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	const op = "read object"
	if err := checkRange(ctx, key, off); err != nil {
		return nil, err
	}
	f, err := s.root.Open(key)
	if err != nil {
		return nil, fail(op, err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = rookery.E(op, rookery.KindNotFound, fmt.Errorf("%s is not an object", key))
	case off > info.Size() || n >= 0 && n > info.Size()-off:
		err = rookery.E(op, rookery.KindDamaged,
			fmt.Errorf("%s holds %d bytes, fewer than the range %d+%d", key, info.Size(), off, n))
	}
	if err != nil {
		f.Close()
		return nil, fail(op, err)
	}
	if n < 0 {
		n = info.Size() - off
	}
	return &reader{ctx: ctx, f: f, r: io.NewSectionReader(f, off, n), left: n}, nil
}

func checkRange(ctx context.Context, key string, off int64) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if off < 0 {
		return rookery.E("read object", rookery.KindInvalid, fmt.Errorf("offset %d is negative", off))
	}
	if err := ctx.Err(); err != nil {
		return rookery.E("read object", rookery.KindUnavailable, err)
	}
	return nil
}

// reader delivers a range and minds the context and a file cut short meanwhile.
type reader struct {
	ctx  context.Context
	f    *os.File
	r    io.Reader
	left int64
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, rookery.E("read object", rookery.KindUnavailable, err)
	}
	n, err := r.r.Read(p)
	r.left -= int64(n)
	switch {
	case err == io.EOF && r.left > 0:
		err = rookery.E("read object", rookery.KindDamaged, io.ErrUnexpectedEOF)
	case err != nil && err != io.EOF:
		err = fail("read object", err)
	}
	return n, err
}

func (r *reader) Close() error { return r.f.Close() }

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	if err := checkRange(ctx, key, 0); err != nil {
		return blob.Info{}, err
	}
	info, err := s.root.Lstat(key)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return blob.Info{}, fail("stat object", err)
	}
	return blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

// fail gives a file system error its kind.
func fail(op string, err error) error {
	var known *rookery.Error
	if errors.As(err, &known) {
		return err
	}
	kind := rookery.KindUnavailable
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		kind = rookery.KindNotFound
	case errors.Is(err, fs.ErrPermission):
		kind = rookery.KindDenied
	case errors.Is(err, fs.ErrExist):
		kind = rookery.KindExists
	}
	return rookery.E(op, kind, err)
}
