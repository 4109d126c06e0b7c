package objects

import (
	"context"
	"io"
	"sync/atomic"

	"rookery/cmd/node/settings"
	"rookery/storage/blob"
)

// Store is the object store by the settings in force: keys, endpoint and CA may
// change while the node runs, so that a wrong secret is mended without a
// restart. Requests under way end on the store they began on. Until the first
// Use it is not to be asked.
type Store struct{ now atomic.Pointer[opened] }

type opened struct {
	blob.Store
	by settings.Store // the settings it was opened by
}

var _ blob.Store = (*Store)(nil)

// Use puts a store in the former one's place, and drops that one's idle
// connections.
func (l *Store) Use(s blob.Store, by settings.Store) {
	if old := l.now.Swap(&opened{s, by}); old != nil {
		Close(old.Store)
	}
}

// Same reports whether settings name the same objects as those in force; then
// they can be used at once.
func (l *Store) Same(by settings.Store) bool {
	was := l.now.Load().by
	return by.Kind == was.Kind && by.Bucket == was.Bucket && by.Path == was.Path
}

// Changed reports whether settings are not those in force.
func (l *Store) Changed(by settings.Store) bool { return l.now.Load().by != by }

// Settings are those in force.
func (l *Store) Settings() settings.Store { return l.now.Load().by }

// Close ends the store, if one was opened.
func (l *Store) Close() error {
	if now := l.now.Load(); now != nil {
		return Close(now.Store)
	}
	return nil
}

// Put implements blob.Store.
func (l *Store) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	return l.now.Load().Put(ctx, key, r, size, o)
}

// Get implements blob.Store.
func (l *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	return l.now.Load().Get(ctx, key, off, n)
}

// Stat implements blob.Store.
func (l *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	return l.now.Load().Stat(ctx, key)
}

// Delete implements blob.Store.
func (l *Store) Delete(ctx context.Context, keys ...string) error {
	return l.now.Load().Delete(ctx, keys...)
}

// List implements blob.Store.
func (l *Store) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	return l.now.Load().List(ctx, prefix, fn)
}

// Unwrap gives the store in force, for what only some drivers can do.
func (l *Store) Unwrap() blob.Store { return l.now.Load().Store }
