package past

import (
	"context"
	"fmt"
	"io"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// InPack tells where a body of that time lies, where it is one piece of one pack.
func (p *Past) InPack(x mailbox.Body) (in mailbox.PackPiece, ok bool) {
	if pieces := p.packs(x); len(pieces) > 0 {
		return pieces[0], len(pieces) == 1
	}
	for i, l := range x.Log {
		at, known := p.bodies.pieces[piece{l.Index, l.Off, l.Len}]
		switch {
		case !known || at.pack == "":
			return in, false
		case i == 0:
			in = mailbox.PackPiece{Pack: at.pack, Off: at.off, Len: l.Len}
		case at.pack != in.Pack || at.off != in.Off+in.Len:
			return in, false
		default:
			in.Len += l.Len
		}
	}
	return in, len(x.Log) > 0
}

// packs are where packs hold a body, by the image or by the restore that brought it
// back.
func (p *Past) packs(x mailbox.Body) []mailbox.PackPiece {
	if len(x.Pack) > 0 {
		return x.Pack
	}
	return p.bodies.byID[x.ID]
}

// ReadBody fills b with the encoded bytes of a body from off: from the archive, or
// from its pack in the live store. KindNotFound: nothing of the archive says where it
// was.
func (p *Past) ReadBody(ctx context.Context, live blob.Store, x mailbox.Body, b []byte, off int64) error {
	if pieces := p.packs(x); len(pieces) > 0 {
		for _, q := range pieces {
			n := min(int64(len(b)), q.Len-off)
			if n <= 0 {
				off -= q.Len
				continue
			}
			if err := p.fromPack(ctx, live, q.Pack, b[:n], q.Off+off); err != nil {
				return err
			}
			b, off = b[n:], 0
		}
		return whole(x, b)
	}
	for _, l := range x.Log {
		n := min(int64(len(b)), l.Len-off)
		if n <= 0 {
			off -= l.Len
			continue
		}
		if err := p.readPiece(ctx, live, x, piece{l.Index, l.Off, l.Len}, b[:n], off); err != nil {
			return err
		}
		b, off = b[n:], 0
	}
	return whole(x, b)
}

func whole(x mailbox.Body, rest []byte) error {
	if len(rest) > 0 {
		return rookery.E("read body", rookery.KindDamaged, fmt.Errorf("body %d is shorter than its record says", x.ID))
	}
	return nil
}

func (p *Past) readPiece(ctx context.Context, live blob.Store, x mailbox.Body, at piece, b []byte, off int64) error {
	in, known := p.bodies.pieces[at]
	switch {
	case known && in.pack != "":
		return p.fromPack(ctx, live, in.pack, b, in.off+off)
	case known:
		if _, err := p.bodies.file.ReadAt(b, in.off+off); err != nil {
			return rookery.E("read body", rookery.KindUnavailable, err)
		}
		return nil
	}
	chunk, err := p.bodies.image.chunk(at)
	if err != nil {
		return err
	}
	if int64(len(chunk)) < off+int64(len(b)) {
		return rookery.E("read body", rookery.KindNotFound, fmt.Errorf("the archive does not have body %d", x.ID))
	}
	copy(b, chunk[off:])
	return nil
}

func (p *Past) fromPack(ctx context.Context, live blob.Store, id command.PackID, b []byte, off int64) error {
	in, err := live.Get(ctx, pack.Key(p.o.Group, id), off, int64(len(b)))
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.ReadFull(in, b); err != nil {
		return rookery.E("read body", rookery.KindOf(err), err)
	}
	return nil
}
