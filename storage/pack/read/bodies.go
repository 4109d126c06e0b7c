// Package read reads encoded bodies from wherever they lie.
//
// It owns the order in which a body's places are tried (log, cache, store, the
// log of another replica), what is read ahead, and the local cache of what was
// fetched. It writes nothing to the store, decides nothing about a body's
// place, and holds no key: all content it touches is ciphertext.
package read

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// Options are what Bodies reads from. Store and Cache may be nil: then
// there is only the log.
type Options struct {
	Log pack.LogReader
	// Checked is Log with the log's own check of the whole entry, which costs
	// more: for what failed its check. Nil: Log.
	Checked pack.LogReader
	// Remote reads the log of another replica. Nil: there is none.
	Remote pack.LogReader
	// Body is a body's record as it is now. A reader holds an older one while
	// the body is packed and the log let go.
	Body func(rookery.GroupID, mailbox.BodyID) (mailbox.Body, error)
	// Pack is a pack's record, for its size. Without it nothing is read ahead
	// beyond the body that was asked for.
	Pack   func(rookery.GroupID, command.PackID) (mailbox.Pack, error)
	Store  blob.Store
	Cache  *Cache
	Logger *slog.Logger
}

// Bodies reads encoded bodies: from the log, else the cache, else the object
// store, else the log of another replica. All methods may be called
// concurrently.
type Bodies struct {
	o      Options
	blocks *blocks
	faults faults
}

// New makes Bodies. It does no I/O. Close ends what it reads ahead.
func New(o Options) *Bodies {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Checked == nil {
		o.Checked = o.Log
	}
	return &Bodies{o: o, blocks: newBlocks(o.Store, o.Cache)}
}

// Close ends the requests under way and waits for them.
func (b *Bodies) Close() { b.blocks.close() }

// ReadAt fills p with the encoded bytes of a body from off. Its errors are
// KindUnavailable (the store does not answer, ctx ended), KindDamaged (the body
// is gone or garbled where it should be) and the log's own.
func (b *Bodies) ReadAt(ctx context.Context, group rookery.GroupID, x mailbox.Body, p []byte, off int64) error {
	return b.readAt(ctx, b.o.Log, group, x, p, off)
}

// ReadChecked is ReadAt with the log's own check of what comes from the log: for
// who copies a body and cannot open it.
func (b *Bodies) ReadChecked(ctx context.Context, group rookery.GroupID, x mailbox.Body, p []byte, off int64) error {
	return b.readAt(ctx, b.o.Checked, group, x, p, off)
}

func (b *Bodies) readAt(ctx context.Context, log pack.LogReader, group rookery.GroupID, x mailbox.Body, p []byte, off int64) error {
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
		logErr = log.ReadPieces(ctx, group, x.Log, p, off)
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
	err := b.readPacks(ctx, group, x.Pack, p, off)
	if rookery.Is(err, rookery.KindDamaged) && b.o.Body != nil {
		// An old view's pack may have been rewritten and cleared away since.
		if now, nerr := b.o.Body(group, x.ID); nerr == nil && !slices.Equal(now.Pack, x.Pack) {
			x = now
			err = b.readPacks(ctx, group, x.Pack, p, off)
		}
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return b.rescue(ctx, group, x, p, off, err)
}

func (b *Bodies) readPacks(ctx context.Context, group rookery.GroupID, pieces []mailbox.PackPiece, p []byte, off int64) error {
	return b.eachPiece(pieces, p, off, func(q mailbox.PackPiece, p []byte, off int64) error {
		return b.readPiece(ctx, group, q, p, off)
	})
}

// eachPiece calls read for the parts of p that lie in one piece each.
func (b *Bodies) eachPiece(pieces []mailbox.PackPiece, p []byte, off int64,
	read func(q mailbox.PackPiece, p []byte, off int64) error) error {
	if b.o.Store == nil {
		return rookery.E("read body", rookery.KindUnavailable, errors.New("no object store is set up"))
	}
	for _, q := range pieces {
		if off >= q.Len {
			off -= q.Len
			continue
		}
		n := min(int64(len(p)), q.Len-off)
		if err := read(q, p[:n], off); err != nil {
			return err
		}
		if p, off = p[n:], 0; len(p) == 0 {
			return nil
		}
	}
	return rookery.E("read body", rookery.KindDamaged, errors.New("its pieces are shorter than the body"))
}

// readPiece reads through blocks of the pack. Where the object is shorter than
// it should be, the bytes asked for may still be there.
func (b *Bodies) readPiece(ctx context.Context, group rookery.GroupID, q mailbox.PackPiece, p []byte, off int64) error {
	t := target{group: group, pack: q.Pack, key: pack.Key(group, q.Pack), size: q.Off + q.Len}
	if b.o.Pack != nil {
		t.whole = func() int64 {
			k, err := b.o.Pack(group, q.Pack)
			if err != nil {
				return 0 // then no more is known to be there
			}
			return k.Size
		}
	}
	end := (q.Off + q.Len + blockSize - 1) / blockSize
	for done := 0; done < len(p); {
		at := q.Off + off + int64(done)
		i, in := at/blockSize, int(at%blockSize)
		n := min(blockSize-in, len(p)-done)
		data, err := b.blocks.get(ctx, t, i, in+n, end-i)
		if rookery.Is(err, rookery.KindDamaged) {
			return b.readStore(ctx, group, q, p, off)
		}
		if err != nil {
			return err
		}
		done += copy(p[done:done+n], data[in:])
	}
	return nil
}

// readStore reads just these bytes from the store.
func (b *Bodies) readStore(ctx context.Context, group rookery.GroupID, q mailbox.PackPiece, p []byte, off int64) error {
	key := pack.Key(group, q.Pack)
	r, err := b.o.Store.Get(ctx, key, q.Off+off, int64(len(p)))
	if err == nil {
		defer r.Close()
		_, err = io.ReadFull(r, p)
	}
	if err != nil {
		return failedRead(key, err)
	}
	return nil
}
