package blob

import (
	"context"
	"time"
)

// What not every store can: a caller asks by a type assertion, and does
// without where the driver lacks it. A driver that has the method but whose
// store refuses it answers KindDenied or KindUnavailable.

// Copier copies within the store, so that no byte passes through this node.
type Copier interface {
	// Copy stores the object from under the key to as well. Either both are
	// whole afterwards or to is as it was. KindNotFound: there is no from.
	Copy(ctx context.Context, from, to string) error
}

// Locker keeps objects from being deleted, also by whoever holds the
// credentials (S3's object lock in compliance mode). The bucket must have been
// made for it.
type Locker interface {
	// Retain keeps the newest version of an object until a time, which can be
	// moved later but never earlier.
	Retain(ctx context.Context, key string, until time.Time) error
	// Retained tells until when; the zero time is not at all.
	Retained(ctx context.Context, key string) (time.Time, error)
	// Hold keeps the newest version of an object until it is let go; it is
	// independent of Retain.
	Hold(ctx context.Context, key string, on bool) error
}

// Version is one of the contents that a key has had.
type Version struct {
	Info
	ID     string
	Latest bool
	// Deleted: a marker, left by a Delete, that hides the versions before it.
	Deleted bool
}

// Versions shows what overwriting and deleting left behind, where the store
// keeps it. A store that keeps nothing shows one version of each object.
type Versions interface {
	// ListVersions calls fn for every version of the objects whose keys start
	// with prefix, the newest of a key first. An error of fn ends the listing
	// and is returned as it is.
	ListVersions(ctx context.Context, prefix string, fn func(Version) error) error
	// DeleteVersion removes one version for good, or a marker, which brings
	// back what it hid. One that does not exist is not an error. KindDenied:
	// it is retained or held.
	DeleteVersion(ctx context.Context, key, id string) error
}
