package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"rookery"
	"rookery/storage/blob"
)

const (
	// maxSingle is the size in bytes up to which an object goes up whole: one
	// request, all or nothing. A larger one goes up in parts of partSize, so
	// that a fault costs a part and not the whole.
	maxSingle = 64 << 20
	partSize  = 16 << 20
	// abortWithin bounds the abort of an upload whose caller may have gone.
	abortWithin = 10 * time.Second
)

// errNoParts says that the store has no multipart uploads.
var errNoParts = errors.New("no multipart uploads")

// putParts stores an object in parts. One part is in memory at a time and is
// sent again by itself after a passing fault. An upload that does not complete
// is aborted, so that none of its parts is left; where even that fails, the
// bucket's rule for incomplete uploads removes them.
func (s *Store) putParts(ctx context.Context, key string, r io.Reader, size int64) (err error) {
	const op = "put object"
	var id string
	err = s.try(ctx, op, key, true, func() (err error) {
		id, err = s.core.NewMultipartUpload(ctx, s.cfg.Bucket, s.name(key), minio.PutObjectOptions{ContentType: "application/octet-stream"})
		return err
	})
	var e minio.ErrorResponse
	if errors.As(err, &e) && (e.StatusCode == 501 || e.StatusCode == 405) {
		return fmt.Errorf("%w: %w", errNoParts, err) // nothing was read of r
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.abort(ctx, key, id)
		}
	}()
	var parts []minio.CompletePart
	src, buf := blob.Exactly(r, size), make([]byte, partSize)
	for left := size; left > 0; {
		part := buf[:min(partSize, left)]
		if _, err := io.ReadFull(src, part); err != nil {
			if cause := src.Err(); cause != nil {
				err = cause
			}
			return err
		}
		left -= int64(len(part))
		done, err := s.putPart(ctx, key, id, len(parts)+1, part)
		if err != nil {
			return err
		}
		parts = append(parts, done)
	}
	if _, err := src.Read(buf[:1]); err != io.EOF {
		return rookery.E(op, 0, err) // longer than announced
	}
	return s.complete(ctx, key, id, parts, size)
}

func (s *Store) putPart(ctx context.Context, key, id string, n int, part []byte) (done minio.CompletePart, err error) {
	err = s.try(ctx, "put part", key, true, func() error {
		p, err := s.core.PutObjectPart(ctx, s.cfg.Bucket, s.name(key), id, n, bytes.NewReader(part), int64(len(part)),
			minio.PutObjectPartOptions{DisableContentSha256: s.secure})
		done = minio.CompletePart{PartNumber: n, ETag: p.ETag}
		return err
	})
	return done, err
}

// complete makes the parts an object. Asked again after an answer that was
// lost, the store knows no upload: then the object tells.
func (s *Store) complete(ctx context.Context, key, id string, parts []minio.CompletePart, size int64) error {
	const op = "put object"
	return s.try(ctx, op, key, true, func() error {
		_, err := s.core.CompleteMultipartUpload(ctx, s.cfg.Bucket, s.name(key), id, parts, minio.PutObjectOptions{})
		var e minio.ErrorResponse
		if !errors.As(err, &e) || e.Code != "NoSuchUpload" {
			return err
		}
		info, serr := s.core.StatObject(ctx, s.cfg.Bucket, s.name(key), minio.StatObjectOptions{})
		if serr == nil && info.Size == size {
			return nil
		}
		return final{rookery.E(op, rookery.KindUnavailable, fmt.Errorf("the store lost the upload: %w", err))}
	})
}

func (s *Store) abort(ctx context.Context, key, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
	defer cancel()
	err := s.try(ctx, "abort upload", key, true, func() error {
		err := s.core.AbortMultipartUpload(ctx, s.cfg.Bucket, s.name(key), id)
		if minio.ToErrorResponse(err).Code == "NoSuchUpload" {
			return nil
		}
		return err
	})
	if err != nil {
		s.logger.Warn("an upload that failed could not be aborted; the bucket's rule for incomplete uploads should remove its parts",
			"key", key, "error", err)
	}
}
