package backups

import (
	"context"
	"io"

	"golang.org/x/time/rate"

	"rookery"
	"rookery/cmd/node/objects"
	"rookery/storage/blob"
)

// throttled is a store to and from which no more bytes go in a second than a limit, taken
// over whole objects: each waits for its turn before it goes.
type throttled struct {
	blob.Store
	limit *rate.Limiter
}

// turn is how many bytes wait at once; what is larger waits in several turns.
const turn = 1 << 20

// newLimit is one that lets everything through until mib sets it.
func newLimit() *rate.Limiter { return rate.NewLimiter(rate.Inf, turn) }

// mib has a limit let so many MiB through in a second; 0 is no bound.
func mib(l *rate.Limiter, perSecond int) {
	bound := rate.Inf
	if perSecond > 0 {
		bound = rate.Limit(perSecond) * (1 << 20)
	}
	if l.Limit() != bound {
		l.SetLimit(bound)
	}
}

func (t throttled) wait(ctx context.Context, bytes int64) error {
	for ; bytes > 0; bytes -= turn {
		if err := t.limit.WaitN(ctx, int(min(bytes, turn))); err != nil {
			return rookery.E("wait for backup.mib_per_second", rookery.KindUnavailable, err)
		}
	}
	return nil
}

func (t throttled) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	if err := t.wait(ctx, size); err != nil {
		return err
	}
	return t.Store.Put(ctx, key, r, size, o)
}

func (t throttled) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := t.wait(ctx, n); err != nil { // of unknown length: small ones alone are read so
		return nil, err
	}
	return t.Store.Get(ctx, key, off, n)
}

// Close ends the store beneath, where its driver has something to end.
func (t throttled) Close() error { return objects.Close(t.Store) }
