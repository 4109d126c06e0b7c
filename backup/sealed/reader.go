package sealed

import (
	"context"
	"errors"
	"fmt"
	"io"

	"rookery"
	"rookery/storage/blob"
)

// Reader reads one object. It is for one goroutine at a time.
type Reader struct {
	place  Place
	store  blob.Store
	opener *opener
	footer footer
	// have is the part of the object that is in memory, from its byte from on.
	have []byte
	from int64
}

// tailSize is how much of an object's end is read at first: most objects are smaller.
const tailSize = 64 << 10

// Open opens an object of size bytes (from its listing; at most MaxObject) and
// reads its footer. Errors: KindNotFound; KindDamaged, it is not what was written
// there; KindUnavailable, the store does not answer, or the object is a newer
// version's; and those of Keys.
func Open(ctx context.Context, s blob.Store, p Place, size int64, k Keys) (*Reader, error) {
	r := &Reader{place: p, store: s}
	if err := r.open(ctx, size, k); err != nil {
		return nil, rookery.E("read "+p.Name, 0, err)
	}
	return r, nil
}

var errNotWhole = errors.New("it is cut or changed, or was copied here from elsewhere")

func damaged(err error) error { return rookery.E("open", rookery.KindDamaged, err) }

func (r *Reader) open(ctx context.Context, size int64, k Keys) error {
	if size < int64(len(headMagic)+trailerSize) || size > MaxObject {
		return damaged(fmt.Errorf("it has %d bytes", size))
	}
	var err error
	r.from = max(0, size-tailSize)
	if r.have, err = r.fetch(ctx, r.from, size-r.from); err != nil {
		return err
	}
	end := size - int64(trailerSize)
	t, err := decodeTrailer(r.have[end-r.from:])
	switch {
	case err != nil:
		return err
	case t.kind != r.place.Kind:
		return damaged(errNotWhole)
	case int64(t.footer) > end-int64(len(headMagic)):
		return damaged(errNotWhole)
	}
	key, err := k.Key(ctx, t.version)
	if err != nil {
		return err
	}
	if r.opener, err = r.place.open(&t, key); err != nil {
		return err
	}
	b, err := r.bytes(ctx, end-int64(t.footer), int64(t.footer))
	if err != nil {
		return err
	}
	return r.readFooter(b, end-int64(t.footer))
}

// readFooter opens the footer. It lists the frames, which fill the object up to it.
func (r *Reader) readFooter(b []byte, frames int64) error {
	plain, err := r.openFooter(b)
	if err != nil {
		return err
	}
	if err := coding.Unmarshal(plain, &r.footer); err != nil {
		return damaged(errNotWhole)
	}
	next := int64(len(headMagic))
	for _, f := range r.footer.Frames {
		if f.Off != next || f.Len <= 0 || f.Len > frames-f.Off {
			return damaged(errNotWhole)
		}
		next = f.Off + f.Len
	}
	if next != frames {
		return damaged(errNotWhole)
	}
	return nil
}

func (r *Reader) openFooter(b []byte) ([]byte, error) {
	compressed, err := r.opener.aead.Open(nil, nonce(0, true), b, r.opener.bound[:])
	if err != nil {
		return nil, damaged(errNotWhole)
	}
	plain, err := decompress(compressed)
	if err != nil {
		return nil, damaged(err)
	}
	return plain, nil
}

// Words reads what the writer has put into the footer.
func (r *Reader) Words(into any) error {
	if err := coding.Unmarshal(r.footer.Words, into); err != nil {
		return rookery.E("read "+r.place.Name, rookery.KindDamaged, err)
	}
	return nil
}

// Frames is how many there are.
func (r *Reader) Frames() int { return len(r.footer.Frames) }

// Frame opens a frame. The caller owns it.
func (r *Reader) Frame(ctx context.Context, n int) ([]byte, error) {
	plain, err := r.frame(ctx, n)
	if err != nil {
		return nil, rookery.E("read "+r.place.Name, 0, err)
	}
	return plain, nil
}

// readAhead is how much is fetched with a frame of what follows it: frames are
// mostly read in order.
const readAhead = 1 << 20

func (r *Reader) frame(ctx context.Context, n int) ([]byte, error) {
	if n < 0 || n >= len(r.footer.Frames) {
		return nil, damaged(fmt.Errorf("it has no frame %d", n))
	}
	f := r.footer.Frames[n]
	sealed, err := r.bytes(ctx, f.Off, f.Len)
	if err != nil {
		return nil, err
	}
	compressed, err := r.opener.aead.Open(nil, nonce(n, false), sealed, r.opener.bound[:])
	if err != nil {
		return nil, damaged(errNotWhole)
	}
	plain, err := decompress(compressed)
	if err != nil {
		return nil, damaged(err)
	}
	if len(plain) > MaxFrame {
		return nil, damaged(fmt.Errorf("a frame of %d bytes", len(plain)))
	}
	return plain, nil
}

// bytes gives n bytes from off, and keeps what else came with them.
func (r *Reader) bytes(ctx context.Context, off, n int64) ([]byte, error) {
	if off < r.from || off+n > r.from+int64(len(r.have)) {
		want := n
		if frames := r.footer.Frames; len(frames) > 0 {
			last := frames[len(frames)-1]
			want = min(max(n, readAhead), last.Off+last.Len-off)
		}
		b, err := r.fetch(ctx, off, want)
		if err != nil {
			return nil, err
		}
		r.have, r.from = b, off
	}
	return r.have[off-r.from : off-r.from+n : off-r.from+n], nil
}

func (r *Reader) fetch(ctx context.Context, off, n int64) ([]byte, error) {
	in, err := r.store.Get(ctx, r.place.Name, off, n)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, err
	}
	return b, nil
}
