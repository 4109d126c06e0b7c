package s3

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/minio/minio-go/v7"

	"rookery/storage/blob"
)

const (
	deleteBatch   = 1000 // keys in one DeleteObjects request, S3's limit
	deleteWorkers = 16   // single deletes at once where there is no such request
)

// Delete implements blob.Store: by DeleteObjects in batches of 1,000, or one by
// one where the store does not know that request (then never asked again) or
// leaves keys unanswered. It goes on after a failure and returns the first.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := blob.CheckKey(key); err != nil {
			return err
		}
	}
	var failed error
	for batch := range slices.Chunk(keys, deleteBatch) {
		if err := s.deleteBatch(ctx, batch); err != nil && failed == nil {
			failed = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

func (s *Store) deleteBatch(ctx context.Context, keys []string) error {
	if len(keys) > 2 && !s.singleDeletes.Load() {
		left := keys
		err := s.try(ctx, "delete objects", keys[0], true, func() (err error) {
			left, err = s.deleteObjects(ctx, left)
			return err
		})
		var e minio.ErrorResponse
		if errors.As(err, &e) && (e.StatusCode == 501 || e.StatusCode == 405 || e.StatusCode == 400) {
			s.logger.Warn("the object store refuses DeleteObjects; deleting one by one from now on", "code", e.Code)
			s.singleDeletes.Store(true)
		} else if err != nil {
			return err
		}
		keys = left
	}
	return s.deleteSingly(ctx, keys)
}

// deleteObjects sends one request and returns the keys that were not confirmed.
func (s *Store) deleteObjects(ctx context.Context, keys []string) ([]string, error) {
	objects := func(yield func(minio.ObjectInfo) bool) {
		for _, k := range keys {
			if !yield(minio.ObjectInfo{Key: s.name(k)}) {
				return
			}
		}
	}
	results, err := s.core.RemoveObjectsWithIter(ctx, s.cfg.Bucket, objects, minio.RemoveObjectsOptions{})
	if err != nil {
		return keys, err
	}
	gone := make(map[string]bool, len(keys))
	for r := range results {
		if r.Err == nil || minio.ToErrorResponse(r.Err).Code == "NoSuchKey" {
			gone[r.ObjectName] = true
		} else if err == nil {
			err = r.Err
		}
	}
	var left []string
	for _, k := range keys {
		if !gone[s.name(k)] {
			left = append(left, k)
		}
	}
	return left, err
}

func (s *Store) deleteSingly(ctx context.Context, keys []string) error {
	work := make(chan string)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range min(deleteWorkers, len(keys)) {
		wg.Go(func() {
			for key := range work {
				err := s.try(ctx, "delete object", key, true, func() error {
					err := s.core.RemoveObject(ctx, s.cfg.Bucket, s.name(key), minio.RemoveObjectOptions{})
					if minio.ToErrorResponse(err).Code == "NoSuchKey" {
						return nil
					}
					return err
				})
				if err != nil {
					mu.Lock()
					if failed == nil {
						failed = err
					}
					mu.Unlock()
				}
			}
		})
	}
	for _, key := range keys {
		work <- key // workers end at once when ctx has
	}
	close(work)
	wg.Wait()
	return failed
}
