package node

import (
	"context"
	"io"
	"sync/atomic"

	"rookery/cmd/node/settings"
	"rookery/storage/blob"
)

// liveStore is the object store by the settings in force: keys, endpoint and CA
// may change while the node runs, so that a wrong secret is mended without a
// restart. Requests under way end on the store they began on.
type liveStore struct{ now atomic.Pointer[openedStore] }

type openedStore struct {
	blob.Store
	by settings.Store // the settings it was opened by
}

var _ blob.Store = (*liveStore)(nil)

// use puts a store in the former one's place, and drops that one's idle
// connections.
func (l *liveStore) use(s blob.Store, by settings.Store) {
	if old := l.now.Swap(&openedStore{s, by}); old != nil {
		closeStore(old.Store)
	}
}

// same reports whether settings name the same objects as those in force; then
// they can be used at once.
func (l *liveStore) same(by settings.Store) bool {
	was := l.now.Load().by
	return by.Kind == was.Kind && by.Bucket == was.Bucket && by.Path == was.Path
}

func (l *liveStore) changed(by settings.Store) bool { return l.now.Load().by != by }

// Close ends the store, if one was opened.
func (l *liveStore) Close() error {
	if now := l.now.Load(); now != nil {
		return closeStore(now.Store)
	}
	return nil
}

func closeStore(s blob.Store) error {
	if c, ok := s.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Put implements blob.Store.
func (l *liveStore) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	return l.now.Load().Put(ctx, key, r, size, o)
}

// Get implements blob.Store.
func (l *liveStore) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	return l.now.Load().Get(ctx, key, off, n)
}

// Stat implements blob.Store.
func (l *liveStore) Stat(ctx context.Context, key string) (blob.Info, error) {
	return l.now.Load().Stat(ctx, key)
}

// Delete implements blob.Store.
func (l *liveStore) Delete(ctx context.Context, keys ...string) error {
	return l.now.Load().Delete(ctx, keys...)
}

// List implements blob.Store.
func (l *liveStore) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	return l.now.Load().List(ctx, prefix, fn)
}

// Unwrap gives the store in force, for what only some drivers can do.
func (l *liveStore) Unwrap() blob.Store { return l.now.Load().Store }
