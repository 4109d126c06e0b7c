package blob

import (
	"context"
	"time"
)

// Upload is a Put that has not ended: it is under way, or its writer has died
// and its parts cost space.
type Upload struct {
	Key   string // "" where the driver does not know it
	ID    string // the driver's own name
	Begun time.Time
}

// Uploads is a Store that can tell of uploads and abort them.
type Uploads interface {
	// Uploads calls fn for every upload whose key begins with prefix, and for
	// those whose key is not known. An error of fn ends the listing and is
	// returned as it is.
	Uploads(ctx context.Context, prefix string, fn func(Upload) error) error
	// Abort drops an upload; one that is gone is not an error. A Put that was
	// still under way fails.
	Abort(ctx context.Context, u Upload) error
}

// UploadsOf finds the Uploads of a store or of what it wraps.
func UploadsOf(s Store) (Uploads, bool) {
	for {
		if u, ok := s.(Uploads); ok {
			return u, true
		}
		w, ok := s.(interface{ Unwrap() Store })
		if !ok {
			return nil, false
		}
		s = w.Unwrap()
	}
}
