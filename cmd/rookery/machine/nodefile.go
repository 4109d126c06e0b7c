package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"rookery"
	"rookery/cmd/node/settings"
)

// LoadNodeFile reads the node file at path.
func LoadNodeFile(path string) (settings.Node, error) {
	const op = "read node file"
	b, err := os.ReadFile(path)
	if err != nil {
		kind := rookery.KindUnavailable
		if errors.Is(err, fs.ErrNotExist) {
			kind = rookery.KindNotFound
		}
		return settings.Node{}, rookery.E(op, kind, err)
	}
	c, err := settings.ParseNode(b)
	if err != nil {
		return c, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%s: %w", path, err))
	}
	return c, nil
}
