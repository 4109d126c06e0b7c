// Package blob defines what Rookery asks of an object store: whole objects are
// put once under unique names, read by ranges, listed by prefix and deleted.
//
// It owns the contract, the form of keys and the rules for errors; the drivers
// dir and s3 fulfil it and blobtest checks them. It never caches, packs,
// encrypts or interprets content, and nothing built on it may need an object to
// be overwritten, renamed or put conditionally: names are unique and objects
// immutable, so repeating a Put with the same bytes is harmless.
package blob

import (
	"context"
	"fmt"
	"io"
	"time"

	"rookery"
)

// Store is an object store. All methods may be called concurrently, also from
// several processes on the same store.
//
// Errors carry these kinds:
//
//   - KindNotFound: the object does not exist, said by the store itself. A
//     missing bucket or directory is KindUnavailable, never KindNotFound.
//   - KindUnavailable: time-outs, network faults, 5xx, SlowDown, a full disk,
//     a ctx that ended. The outcome of a write is then in doubt: it may have
//     happened.
//   - KindDenied: credentials or permissions.
//   - KindDamaged: the object is shorter than the range asked for, or was
//     garbled on its way.
//   - KindInvalid: a bad key, range or size: the caller's mistake.
//   - KindExists: a Put with IfAbsent met an object.
//
// A Store repeats failed requests itself a few times where that is safe and
// the fault may pass; callers that must get through repeat again, later.
type Store interface {
	// Put stores size bytes of r under key. It returns nil only when the
	// object is complete and durable and every later Get sees it. A reader
	// that ends early or late is KindInvalid. After an error there is no
	// object, the whole one (the answer was lost), or, on S3 servers that
	// take an upload cut off for a whole one (versitygw over TLS does), a
	// short one: what matters is read back before it is relied on. If r is
	// an io.Seeker the driver may rewind it to where it stood to try again.
	Put(ctx context.Context, key string, r io.Reader, size int64, o PutOptions) error

	// Get opens n bytes from off; n < 0 means up to the end. The reader
	// delivers exactly n bytes and io.EOF; where the object ends sooner, Get
	// or Read fails with KindDamaged. The reader is bound to ctx and must be
	// closed.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)

	// Stat tells an object's size and time of writing.
	Stat(ctx context.Context, key string) (Info, error)

	// Delete removes objects; those that do not exist are not an error. When
	// it fails some may be gone. Any number of keys may be given.
	Delete(ctx context.Context, keys ...string) error

	// List calls fn for every object whose key starts with prefix (any part
	// of a key; empty means all), in no promised order. Objects written or
	// deleted meanwhile may or may not appear. An error of fn ends the
	// listing and is returned as it is.
	List(ctx context.Context, prefix string, fn func(Info) error) error
}

// PutOptions adjust a Put.
type PutOptions struct {
	// IfAbsent refuses with KindExists to replace an object. It is a fence
	// for tools and never needed for correctness: some S3 servers ignore it
	// (see s3.Store.Probe).
	IfAbsent bool
}

// Info describes an object.
type Info struct {
	Key      string
	Size     int64
	Modified time.Time // the store's clock
}

// Limits of keys.
const (
	MaxKey    = 512 // bytes in a key
	MaxPart   = 128 // bytes between two slashes
	MaxDepth  = 8   // parts in a key
	partChars = "a-z 0-9 . _ -"
)

// CheckKey reports with KindInvalid why a key is not allowed. A key is one to
// MaxDepth parts of a-z 0-9 . _ - joined by slashes; no part is empty or starts
// with a dot, so a key is also a safe relative path on every system. A key must
// not be another key's directory ("a" beside "a/b"): use a fixed depth for each
// family of keys.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return badKey(key, fmt.Sprintf("needs 1 to %d bytes", MaxKey))
	}
	return checkParts(key, false)
}

// CheckPrefix is CheckKey for the prefix of a listing: it may be empty and may
// end anywhere within a key.
func CheckPrefix(prefix string) error {
	if len(prefix) > MaxKey {
		return badKey(prefix, fmt.Sprintf("needs at most %d bytes", MaxKey))
	}
	return checkParts(prefix, true)
}

func checkParts(key string, prefix bool) error {
	depth, start := 1, 0
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c == '/':
			if i == start {
				return badKey(key, "has an empty part")
			}
			depth, start = depth+1, i+1
		case c == '.' && i == start:
			return badKey(key, "has a part that starts with a dot")
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
			if i-start >= MaxPart {
				return badKey(key, fmt.Sprintf("has a part over %d bytes", MaxPart))
			}
		default:
			return badKey(key, "may hold only "+partChars+" and slashes")
		}
	}
	if !prefix && start == len(key) {
		return badKey(key, "has an empty part")
	}
	if depth > MaxDepth {
		return badKey(key, fmt.Sprintf("has more than %d parts", MaxDepth))
	}
	return nil
}

func badKey(key, why string) error {
	return rookery.E("check key", rookery.KindInvalid, fmt.Errorf("object key %.100q %s", key, why))
}
