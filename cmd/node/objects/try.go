package objects

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/blob"
	"rookery/storage/blob/s3"
	"rookery/storage/pack"
)

// Reach tries the address and TLS of an S3 service.
func Reach(ctx context.Context, s *settings.Store) error {
	return s3.Reach(ctx, s.Endpoint, s.CAFile)
}

// Try writes, reads, lists and deletes objects of its own in an object
// store. data is the directory that a relative path begins at.
func Try(ctx context.Context, s *settings.Store, data string) (found string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if s.Kind == "dir" {
		return tryPath(ctx, s, data)
	}
	store, err := OpenStore(s, data, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	defer Close(store)
	able, err := store.(*s3.Store).Probe(ctx)
	if err != nil {
		return "", err
	}
	found = "writes, reads, lists and deletes; " + able.String()
	if len(able.Notes) > 0 {
		found += "; note: " + strings.Join(able.Notes, "; ")
	}
	return found, nil
}

// Unowned refuses with KindConflict a store in which another cluster keeps its
// packs: for a cluster that is about to begin. None could tell which are its own.
func Unowned(ctx context.Context, s *settings.Store, data string) error {
	const op = "begin cluster"
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if s.Kind == "dir" {
		defer RemoveMade(Path(s, data))()
	}
	store, err := OpenStore(s, data, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer Close(store)
	clusters, err := pack.Owners(ctx, store)
	if err == nil && len(clusters) > 0 {
		err = rookery.E(op, rookery.KindConflict, fmt.Errorf(
			"cluster %s keeps its packs in this place: name another bucket or directory; where that cluster is gone for good and nobody "+
				"needs its mail, delete the object c/%s in it first", strings.Join(clusters, ", "), clusters[0]))
	}
	return err
}

// tryPath leaves no directory behind that was not there.
func tryPath(ctx context.Context, s *settings.Store, data string) (string, error) {
	path := Path(s, data)
	defer RemoveMade(path)()
	store, err := OpenStore(s, data, slog.New(slog.DiscardHandler))
	if err == nil {
		err = errors.Join(tryObject(ctx, store), Close(store))
	}
	if err != nil {
		return "", rookery.E("try object store", rookery.KindOf(err),
			fmt.Errorf("%w; name a directory that the user who runs the node may write", err))
	}
	return path + " can be written", nil
}

// tryObject writes, reads and deletes a small object.
func tryObject(ctx context.Context, s blob.Store) error {
	const text = "rookery was here"
	key := fmt.Sprintf("check/%d", time.Now().UnixNano())
	if err := s.Put(ctx, key, strings.NewReader(text), int64(len(text)), blob.PutOptions{}); err != nil {
		return err
	}
	r, err := s.Get(ctx, key, 0, int64(len(text)))
	if err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	return s.Delete(ctx, key)
}

// RemoveMade gives what removes the directories that a trial makes on the way
// to a path that is not there yet.
func RemoveMade(path string) func() {
	var made string
	for d := path; !exists(d) && d != filepath.Dir(d); d = filepath.Dir(d) {
		made = d
	}
	return func() {
		if made != "" {
			removeEmpty(made)
		}
	}
}

// removeEmpty removes a directory and those in it, but no file and nothing that
// leads to one: another process may have begun to use it.
func removeEmpty(name string) {
	entries, _ := os.ReadDir(name)
	for _, e := range entries {
		if e.IsDir() {
			removeEmpty(filepath.Join(name, e.Name()))
		}
	}
	os.Remove(name)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
