package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/minio/minio-go/v7"

	"rookery"
	"rookery/storage/blob"
)

// Get implements blob.Store. Opening is repeated on passing faults; a fault
// while reading is the reader's error.
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	const op = "get object"
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	if off < 0 || n > 0 && off > math.MaxInt64-n {
		return nil, rookery.E(op, rookery.KindInvalid, fmt.Errorf("range %d+%d is not possible", off, n))
	}
	if n == 0 {
		return s.getNothing(ctx, key, off)
	}
	var opts minio.GetObjectOptions
	if n > 0 {
		opts.SetRange(off, off+n-1)
	} else if off > 0 {
		opts.SetRange(off, 0)
	}
	var r io.ReadCloser
	var info minio.ObjectInfo
	err := s.try(ctx, op, key, true, func() (err error) {
		body, i, header, err := s.core.GetObject(ctx, s.cfg.Bucket, s.name(key), opts)
		if err != nil {
			return err
		}
		ranged := n > 0 || off > 0
		if got := header.Get("Content-Range"); ranged && !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", off)) {
			body.Close()
			return final{rookery.E(op, rookery.KindUnavailable, fmt.Errorf(
				"%s: the store answered the range from %d with Content-Range %q; it must support ranged reads", key, off, got))}
		}
		r, info = body, i
		return nil
	})
	if err != nil {
		if outOfRange(err) {
			// An empty rest is no error; S3 has no way to ask for it.
			if n < 0 {
				return s.getNothing(ctx, key, off)
			}
			return nil, rookery.E(op, rookery.KindDamaged, err)
		}
		return nil, err
	}
	if info.Size < 0 {
		r.Close()
		return nil, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("%s: %w", key, errNoLength))
	}
	if n < 0 {
		n = info.Size
	}
	if info.Size != n {
		r.Close()
		return nil, rookery.E(op, rookery.KindDamaged,
			fmt.Errorf("%s: the range %d+%d holds only %d bytes", key, off, n, info.Size))
	}
	return &reader{ctx: ctx, key: key, r: r, left: n}, nil
}

func outOfRange(err error) bool {
	var e minio.ErrorResponse
	return errors.As(err, &e) && (e.StatusCode == 416 || e.Code == "InvalidRange")
}

// getNothing is a read of no bytes at off: it checks that they could be there.
func (s *Store) getNothing(ctx context.Context, key string, off int64) (io.ReadCloser, error) {
	info, err := s.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if off > info.Size {
		return nil, rookery.E("get object", rookery.KindDamaged,
			fmt.Errorf("%s holds %d bytes, fewer than the offset %d", key, info.Size, off))
	}
	return io.NopCloser(strings.NewReader("")), nil
}

// reader counts what comes and gives faults their kind.
type reader struct {
	ctx  context.Context
	key  string
	r    io.ReadCloser
	left int64
}

func (r *reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.left -= int64(n)
	if err == nil || err == io.EOF && r.left == 0 {
		return n, err
	}
	if cause := r.ctx.Err(); cause != nil {
		err = cause
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF // the connection, not the object: its length was announced
	}
	return n, rookery.E("get object", rookery.KindUnavailable, fmt.Errorf("%s: reading: %w", r.key, err))
}

func (r *reader) Close() error { return r.r.Close() }
