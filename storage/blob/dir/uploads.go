package dir

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"rookery"
	"rookery/storage/blob"
)

var _ blob.Uploads = (*Store)(nil)

// Uploads implements blob.Uploads: temporary files, whose keys are not known.
func (s *Store) Uploads(ctx context.Context, _ string, fn func(blob.Upload) error) error {
	const op = "list uploads"
	entries, err := fs.ReadDir(s.root.FS(), tempDir)
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return rookery.E(op, rookery.KindUnavailable, err)
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		if err != nil {
			return fail(op, err)
		}
		if err := fn(blob.Upload{ID: e.Name(), Begun: info.ModTime()}); err != nil {
			return err
		}
	}
	return nil
}

// Abort implements blob.Uploads.
func (s *Store) Abort(_ context.Context, u blob.Upload) error {
	if u.ID == "" || strings.Contains(u.ID, "/") || strings.HasPrefix(u.ID, ".") {
		return rookery.E("abort upload", rookery.KindInvalid, errors.New("it is no temporary file of this store"))
	}
	if err := s.root.Remove(path.Join(tempDir, u.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail("abort upload", err)
	}
	return nil
}
