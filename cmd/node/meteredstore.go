package node

import (
	"context"
	"io"
	"time"

	"rookery/storage/blob"
)

// meteredStore counts the requests to an object store.
type meteredStore struct {
	inner   blob.Store
	metrics *metrics
}

func (s meteredStore) note(request string, bytes int64, began time.Time, err error) error {
	s.metrics.stored(request, err, bytes, time.Since(began))
	return err
}

// Put implements blob.Store.
func (s meteredStore) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	began := time.Now()
	return s.note("put", size, began, s.inner.Put(ctx, key, r, size, o))
}

// Get implements blob.Store.
func (s meteredStore) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	began := time.Now()
	r, err := s.inner.Get(ctx, key, off, n)
	return r, s.note("get", n, began, err)
}

// Stat implements blob.Store.
func (s meteredStore) Stat(ctx context.Context, key string) (blob.Info, error) {
	began := time.Now()
	i, err := s.inner.Stat(ctx, key)
	return i, s.note("stat", 0, began, err)
}

// Delete implements blob.Store.
func (s meteredStore) Delete(ctx context.Context, keys ...string) error {
	began := time.Now()
	return s.note("delete", 0, began, s.inner.Delete(ctx, keys...))
}

// List implements blob.Store.
func (s meteredStore) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	began := time.Now()
	return s.note("list", 0, began, s.inner.List(ctx, prefix, fn))
}

// Close implements io.Closer, where the store does.
func (s meteredStore) Close() error {
	if c, ok := s.inner.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
