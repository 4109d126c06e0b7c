package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minio/minio-go/v7"

	"rookery"
	"rookery/storage/blob"
)

var (
	_ blob.Copier   = (*Store)(nil)
	_ blob.Locker   = (*Store)(nil)
	_ blob.Versions = (*Store)(nil)
)

// Copy implements blob.Copier.
func (s *Store) Copy(ctx context.Context, from, to string) error {
	if err := errors.Join(blob.CheckKey(from), blob.CheckKey(to)); err != nil {
		return err
	}
	return s.try(ctx, "copy object", from, true, func() error {
		_, err := s.core.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: s.cfg.Bucket, Object: s.name(to)},
			minio.CopySrcOptions{Bucket: s.cfg.Bucket, Object: s.name(from)})
		return err
	})
}

// Retain implements blob.Locker.
func (s *Store) Retain(ctx context.Context, key string, until time.Time) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	mode := minio.Compliance
	return s.try(ctx, "retain object", key, true, func() error {
		return s.core.PutObjectRetention(ctx, s.cfg.Bucket, s.name(key),
			minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until})
	})
}

// Retained implements blob.Locker, by HEAD: versitygw answers the request made
// for it with another document than S3 does.
func (s *Store) Retained(ctx context.Context, key string) (until time.Time, err error) {
	if err := blob.CheckKey(key); err != nil {
		return until, err
	}
	err = s.try(ctx, "read retention", key, true, func() error {
		info, err := s.core.StatObject(ctx, s.cfg.Bucket, s.name(key), minio.StatObjectOptions{})
		if at := info.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"); err == nil && at != "" {
			until, err = time.Parse(time.RFC3339, at)
		}
		return err
	})
	return until, err
}

// Hold implements blob.Locker.
func (s *Store) Hold(ctx context.Context, key string, on bool) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	status := minio.LegalHoldDisabled
	if on {
		status = minio.LegalHoldEnabled
	}
	return s.try(ctx, "hold object", key, true, func() error {
		return s.core.PutObjectLegalHold(ctx, s.cfg.Bucket, s.name(key), minio.PutObjectLegalHoldOptions{Status: &status})
	})
}

// ListVersions implements blob.Versions. A listing that fails is not taken up
// again: fn would see versions twice.
func (s *Store) ListVersions(ctx context.Context, prefix string, fn func(blob.Version) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	const op = "list versions"
	cut := len(s.name(""))
	var stopped error
	err := s.try(ctx, op, prefix, false, func() error {
		var c circle
		page, cancel := context.WithCancel(ctx)
		defer cancel() // ends the lister's goroutine
		for o := range s.core.ListObjectsIter(page, s.cfg.Bucket,
			minio.ListObjectsOptions{Prefix: s.name(prefix), Recursive: true, WithVersions: true}) {
			if o.Err != nil {
				return o.Err
			}
			if c.closes(o.Key + "\x00" + o.VersionID) {
				return final{rookery.E(op, rookery.KindUnavailable,
					fmt.Errorf("the store's listing goes round in a circle, %.200q came before", o.Key))}
			}
			if len(o.Key) <= cut || blob.CheckKey(o.Key[cut:]) != nil {
				continue // not ours
			}
			stopped = fn(blob.Version{Info: blob.Info{Key: o.Key[cut:], Size: o.Size, Modified: o.LastModified},
				ID: o.VersionID, Latest: o.IsLatest, Deleted: o.IsDeleteMarker})
			if stopped != nil {
				return nil
			}
		}
		return ctx.Err()
	})
	if stopped != nil {
		return stopped
	}
	return err
}

// DeleteVersion implements blob.Versions.
func (s *Store) DeleteVersion(ctx context.Context, key, id string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	return s.try(ctx, "delete version", key, true, func() error {
		err := s.core.RemoveObject(ctx, s.cfg.Bucket, s.name(key), minio.RemoveObjectOptions{VersionID: id})
		if code := minio.ToErrorResponse(err).Code; code == "NoSuchKey" || code == "NoSuchVersion" {
			return nil
		}
		return err
	})
}
