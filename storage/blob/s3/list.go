package s3

import (
	"context"
	"fmt"

	"github.com/minio/minio-go/v7"

	"rookery"
	"rookery/storage/blob"
)

// List implements blob.Store. A page that fails is asked for again from the
// last key that was handed out. A listing that goes round in a circle fails.
func (s *Store) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	cut, last := len(s.name("")), ""
	var stopped error
	const op = "list objects"
	err := s.try(ctx, op, prefix, true, func() error {
		var c circle
		page, cancel := context.WithCancel(ctx)
		defer cancel() // ends the lister's goroutine
		for o := range s.core.ListObjectsIter(page, s.cfg.Bucket,
			minio.ListObjectsOptions{Prefix: s.name(prefix), Recursive: true, StartAfter: last}) {
			if o.Err != nil {
				return o.Err
			}
			if c.closes(o.Key) {
				return final{rookery.E(op, rookery.KindUnavailable,
					fmt.Errorf("the store's listing goes round in a circle, %.200q came before", o.Key))}
			}
			if o.Size < 0 {
				return final{rookery.E(op, rookery.KindUnavailable, fmt.Errorf("the store's listing gives %.200q a size of %d bytes", o.Key, o.Size))}
			}
			if len(o.Key) <= cut || blob.CheckKey(o.Key[cut:]) != nil {
				continue // not ours
			}
			if stopped = fn(blob.Info{Key: o.Key[cut:], Size: o.Size, Modified: o.LastModified}); stopped != nil {
				return nil
			}
			last = o.Key
		}
		return ctx.Err()
	})
	if stopped != nil {
		return stopped
	}
	return err
}

// circle notices that keys repeat, in constant memory (Brent's way): each is
// compared with one seen earlier, which is replaced ever more rarely.
type circle struct {
	mark        string
	steps, next int
}

func (c *circle) closes(key string) bool {
	if key == c.mark {
		return true
	}
	if c.steps++; c.steps >= c.next {
		c.mark, c.steps, c.next = key, 0, 2*c.next+1
	}
	return false
}
