package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/mailbox"
)

// fetchWindow is how much of a body one request to the store brings: small
// bodies come whole, and phones that read a large one in 10 KB steps cost one
// request a megabyte.
const fetchWindow = 1 << 20

// BodiesOptions are what Bodies reads from. Store and Cache may be nil: then
// there is only the log.
type BodiesOptions struct {
	Log LogReader
	// Body is a body's record as it is now. A reader holds an older one while
	// the body is packed and the log let go.
	Body   func(rookery.GroupID, mailbox.BodyID) (mailbox.Body, error)
	Store  blob.Store
	Cache  *Cache
	Logger *slog.Logger
}

// Bodies reads encoded bodies: from the log, else the cache, else the object
// store. All methods may be called concurrently.
type Bodies struct {
	o       BodiesOptions
	windows windows
}

// NewBodies makes Bodies. It does no I/O.
func NewBodies(o BodiesOptions) *Bodies {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Bodies{o: o}
}

// At gives the function that body.NewReader reads through: it fills p with the
// encoded body's bytes from off. Its errors are KindUnavailable (the store does
// not answer, ctx ended), KindDamaged (the body is gone or garbled where it
// should be) and the log's own.
func (b *Bodies) At(group rookery.GroupID, x mailbox.Body) func(ctx context.Context, p []byte, off int64) error {
	return func(ctx context.Context, p []byte, off int64) error {
		return b.ReadAt(ctx, group, x, p, off)
	}
}

// ReadAt fills p with the encoded bytes of a body from off.
func (b *Bodies) ReadAt(ctx context.Context, group rookery.GroupID, x mailbox.Body, p []byte, off int64) error {
	const op = "read body"
	if off < 0 || int64(len(p)) > x.Encoded-off {
		return rookery.E(op, rookery.KindInvalid,
			fmt.Errorf("range %d+%d is outside body %d of %d bytes", off, len(p), x.ID, x.Encoded))
	}
	if len(p) == 0 {
		return nil
	}
	logErr := errors.New("it lies in no log entry")
	if len(x.Log) > 0 {
		logErr = b.readLog(ctx, group, x.Log, p, off)
		if logErr == nil {
			return nil
		}
		if ctx.Err() != nil {
			return rookery.E(op, rookery.KindUnavailable, ctx.Err())
		}
		if !rookery.Is(logErr, rookery.KindNotFound) && len(x.Pack) > 0 {
			b.o.Logger.Warn("a body cannot be read from the log; reading its pack", "group", group, "body", x.ID, "error", logErr)
		}
	}
	if len(x.Pack) == 0 && rookery.Is(logErr, rookery.KindNotFound) && b.o.Body != nil {
		if now, err := b.o.Body(group, x.ID); err == nil {
			x.Pack = now.Pack
		}
	}
	if len(x.Pack) == 0 {
		kind := rookery.KindOf(logErr)
		if kind == rookery.KindNotFound {
			kind = rookery.KindUnavailable // another replica may have it
		}
		return rookery.E(op, kind, fmt.Errorf("body %d of group %d is in no pack yet: %w", x.ID, group, logErr))
	}
	if b.o.Store == nil {
		return rookery.E(op, rookery.KindUnavailable, errors.New("no object store is set up"))
	}
	return b.readPacks(ctx, group, x.Pack, p, off)
}

func (b *Bodies) readLog(ctx context.Context, group rookery.GroupID, pieces []mailbox.LogPiece, p []byte, off int64) error {
	for _, q := range pieces {
		if off >= q.Len {
			off -= q.Len
			continue
		}
		n := min(int64(len(p)), q.Len-off)
		if err := b.o.Log(ctx, group, q.Index, q.Term, p[:n], q.Off+off); err != nil {
			return err
		}
		if p, off = p[n:], 0; len(p) == 0 {
			return nil
		}
	}
	return rookery.E("read body", rookery.KindDamaged, errors.New("its pieces are shorter than the body"))
}

func (b *Bodies) readPacks(ctx context.Context, group rookery.GroupID, pieces []mailbox.PackPiece, p []byte, off int64) error {
	for _, q := range pieces {
		if off >= q.Len {
			off -= q.Len
			continue
		}
		n := min(int64(len(p)), q.Len-off)
		if err := b.readPiece(ctx, Key(group, q.Pack), q, p[:n], off); err != nil {
			return err
		}
		if p, off = p[n:], 0; len(p) == 0 {
			return nil
		}
	}
	return rookery.E("read body", rookery.KindDamaged, errors.New("its pieces are shorter than the body"))
}

// readPiece reads through windows: parts of the piece of at most fetchWindow
// bytes that are fetched and cached whole.
func (b *Bodies) readPiece(ctx context.Context, key string, q mailbox.PackPiece, p []byte, off int64) error {
	for len(p) > 0 {
		start := off / fetchWindow * fetchWindow
		w := window{key: key, off: q.Off + start, n: min(fetchWindow, q.Len-start)}
		data, err := b.window(ctx, w)
		if err != nil {
			return err
		}
		n := copy(p, data[off-start:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// window names a range of an object.
type window struct {
	key    string
	off, n int64
}

func (w window) name() string { return fmt.Sprintf("%s %d %d", w.key, w.off, w.n) }

// window reads one from the cache or the store; several readers of the same
// one share a request.
func (b *Bodies) window(ctx context.Context, w window) ([]byte, error) {
	if b.o.Cache != nil {
		if data, ok := b.o.Cache.Get(w.name()); ok && int64(len(data)) == w.n {
			return data, nil
		}
	}
	return b.windows.do(ctx, w, func(ctx context.Context) ([]byte, error) {
		data, err := b.fetch(ctx, w)
		if err == nil && b.o.Cache != nil {
			b.o.Cache.Put(w.name(), data)
		}
		return data, err
	})
}

func (b *Bodies) fetch(ctx context.Context, w window) ([]byte, error) {
	const op = "read body"
	r, err := b.o.Store.Get(ctx, w.key, w.off, w.n)
	if rookery.Is(err, rookery.KindNotFound) {
		return nil, rookery.E(op, rookery.KindDamaged, fmt.Errorf("pack %s is missing in the object store: %w", w.key, err))
	}
	if err != nil {
		return nil, rookery.E(op, 0, err)
	}
	defer r.Close()
	data := make([]byte, w.n)
	if _, err := io.ReadFull(r, data); err != nil {
		kind := rookery.KindOf(err)
		if kind == rookery.KindUnknown {
			kind = rookery.KindUnavailable
		}
		return nil, rookery.E(op, kind, fmt.Errorf("pack %s: %w", w.key, err))
	}
	return data, nil
}
