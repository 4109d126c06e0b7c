package objects

import (
	"context"
	"io"
	"time"

	"rookery/storage/blob"
)

// Metered is a store whose requests are told to Note.
type Metered struct {
	Inner blob.Store
	Note  func(request string, err error, bytes int64, took time.Duration)
}

func (s Metered) note(request string, bytes int64, began time.Time, err error) error {
	s.Note(request, err, bytes, time.Since(began))
	return err
}

// Put implements blob.Store.
func (s Metered) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	began := time.Now()
	return s.note("put", size, began, s.Inner.Put(ctx, key, r, size, o))
}

// Get implements blob.Store.
func (s Metered) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	began := time.Now()
	r, err := s.Inner.Get(ctx, key, off, n)
	return r, s.note("get", n, began, err)
}

// Stat implements blob.Store.
func (s Metered) Stat(ctx context.Context, key string) (blob.Info, error) {
	began := time.Now()
	i, err := s.Inner.Stat(ctx, key)
	return i, s.note("stat", 0, began, err)
}

// Delete implements blob.Store.
func (s Metered) Delete(ctx context.Context, keys ...string) error {
	began := time.Now()
	return s.note("delete", 0, began, s.Inner.Delete(ctx, keys...))
}

// List implements blob.Store.
func (s Metered) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	began := time.Now()
	return s.note("list", 0, began, s.Inner.List(ctx, prefix, fn))
}

// Close implements io.Closer, where the store does.
func (s Metered) Close() error {
	if c, ok := s.Inner.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
