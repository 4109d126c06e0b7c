package s3

import (
	"context"
	"errors"
	"strings"

	"github.com/minio/minio-go/v7"

	"rookery/storage/blob"
)

var _ blob.Uploads = (*Store)(nil)

// maxUploads are the uploads on one page of a listing.
const maxUploads = 1000

// Uploads implements blob.Uploads: multipart uploads that were not completed.
// A store that does not know the request has none.
func (s *Store) Uploads(ctx context.Context, prefix string, fn func(blob.Upload) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	cut := len(s.name(""))
	for key, id := "", ""; ; {
		var page minio.ListMultipartUploadsResult
		err := s.try(ctx, "list uploads", prefix, true, func() (err error) {
			page, err = s.core.ListMultipartUploads(ctx, s.cfg.Bucket, s.name(prefix), key, id, "", maxUploads)
			return err
		})
		var e minio.ErrorResponse
		if errors.As(err, &e) && (e.StatusCode == 501 || e.StatusCode == 405) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if !strings.HasPrefix(u.Key, s.name(prefix)) || blob.CheckKey(u.Key[cut:]) != nil {
				continue // not ours
			}
			if err := fn(blob.Upload{Key: u.Key[cut:], ID: u.UploadID, Begun: u.Initiated}); err != nil {
				return err
			}
		}
		if !page.IsTruncated || page.NextKeyMarker == "" || page.NextKeyMarker == key && page.NextUploadIDMarker == id {
			return nil
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

// Abort implements blob.Uploads.
func (s *Store) Abort(ctx context.Context, u blob.Upload) error {
	if err := blob.CheckKey(u.Key); err != nil {
		return err
	}
	return s.try(ctx, "abort upload", u.Key, true, func() error {
		err := s.core.AbortMultipartUpload(ctx, s.cfg.Bucket, s.name(u.Key), u.ID)
		var e minio.ErrorResponse
		if errors.As(err, &e) && (e.Code == "NoSuchUpload" || e.Code == "NoSuchKey") {
			return nil
		}
		return err
	})
}
