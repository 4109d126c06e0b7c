package objects

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rookery"
	"rookery/cmd/node/settings"
)

// placeFile marks the directory of an object store. The store does not list it.
const placeFile = ".place"

// placeOf is the mark of the directory that a store's objects lie in, the same
// for all nodes that share it; empty for a service, which is one by its URL.
func placeOf(set *settings.Store, data string) (string, error) {
	const op = "mark object store"
	if set.Kind != "dir" {
		return "", nil
	}
	dir := Path(set, data)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", rookery.E(op, rookery.KindUnavailable, err)
	}
	path := filepath.Join(dir, placeFile)
	// Whoever is first makes it, whole: another may read it at once.
	own := fmt.Sprintf("%s.%s", path, rand.Text())
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(own, []byte(rand.Text()), 0o600); err != nil {
			return "", rookery.E(op, rookery.KindUnavailable, err)
		}
		defer os.Remove(own)
		if err := os.Link(own, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", rookery.E(op, rookery.KindUnavailable, err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", rookery.E(op, rookery.KindUnavailable, err)
	}
	return string(b[:min(len(b), 64)]), nil
}
