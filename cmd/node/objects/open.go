package objects

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
	"rookery/storage/blob/s3"
)

// OpenStore opens the store that settings name. It asks no service, and makes the
// directory of a store of kind dir; data is the data directory, where a
// relative path begins.
func OpenStore(set *settings.Store, data string, logger *slog.Logger) (blob.Store, error) {
	switch set.Kind {
	case "dir":
		return dir.Open(Path(set, data))
	case "s3":
		return s3.Open(s3.Config{
			Endpoint: set.Endpoint, Bucket: set.Bucket, Region: set.Region,
			Credentials: s3.Credentials{AccessKey: set.AccessKey, SecretKey: set.SecretKey}, CAFile: set.CAFile,
		}, logger)
	}
	return nil, rookery.E("open object store", rookery.KindInvalid, fmt.Errorf("store.kind %q is unknown; use dir or s3", set.Kind))
}

// Path is where the objects of a store of kind dir lie.
func Path(set *settings.Store, data string) string {
	switch {
	case set.Path == "":
		return filepath.Join(data, "objects")
	case !filepath.IsAbs(set.Path):
		return filepath.Join(data, set.Path)
	}
	return set.Path
}

// Close ends a store, where its driver has something to end.
func Close(s blob.Store) error {
	if c, ok := s.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
