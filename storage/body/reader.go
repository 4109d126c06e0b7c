package body

import (
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/message"
)

// Source gives the encoded bytes of a body.
type Source interface {
	// ReadAt fills p with the bytes from off.
	ReadAt(ctx context.Context, p []byte, off int64) error
	// ReadCopy reads them once more because they failed their check: from the
	// body's copy n, counted from 1, while there is one, then ErrNoCopy.
	ReadCopy(ctx context.Context, p []byte, off int64, n int) error
	// Copied tells how it went: copy n was good, or with err none.
	Copied(off int64, n int, err error)
}

// Only is a Source without other copies.
type Only func(ctx context.Context, p []byte, off int64) error

// ReadAt implements Source.
func (f Only) ReadAt(ctx context.Context, p []byte, off int64) error { return f(ctx, p, off) }

// ReadCopy implements Source.
func (Only) ReadCopy(context.Context, []byte, int64, int) error { return ErrNoCopy }

// Copied implements Source.
func (Only) Copied(int64, int, error) {}

// ErrNoCopy says that all copies have been tried.
var ErrNoCopy = rookery.E("read message", rookery.KindNotFound, errors.New("there is no other copy"))

// Reader reads a message's plaintext by ranges. It keeps the last chunk and at
// most two chunk buffers; it is for one goroutine at a time.
type Reader struct {
	layout Layout
	key    keys.MessageKey
	dict   *dictionary
	source Source
	gcm    cipher.AEAD
	bad    error   // why the layout cannot be read
	starts []int64 // offsets of the encoded chunks

	sealed, unpacked *chunkBuffer
	have             int    // the chunk in plain
	plain            []byte // lies in sealed or unpacked; nil for none
	nonce            [nonceSize]byte
	aad              [10]byte
}

// NewReader makes a Reader. The source is never asked beyond
// Layout.EncodedSize. A layout that makes no sense shows as KindDamaged at the
// first read; one that names a dictionary of a newer program, as KindUnavailable.
func NewReader(layout Layout, key keys.MessageKey, source Source) *Reader {
	r := &Reader{layout: layout, key: key, source: source, gcm: chunkGCM(key, layout.Salt)}
	if err := layout.check(); err != nil {
		r.bad = rookery.E("read message", rookery.KindDamaged, err)
		return r
	}
	if r.dict, r.bad = findDictionary("read message", layout.Dictionary); r.bad != nil {
		return r
	}
	r.starts = make([]int64, len(layout.ChunkLens))
	var off int64
	for i, n := range layout.ChunkLens {
		r.starts[i] = off
		off += int64(n)
	}
	return r
}

// Size is the message's size in bytes.
func (r *Reader) Size() int64 { return max(r.layout.PlainSize, 0) }

// ReadAt fills p from offset off. It returns io.EOF when fewer than len(p)
// bytes are left; KindDamaged when a check fails for every copy; KindUnavailable
// when it fails for all that can be read now; the error of the source as it is.
func (r *Reader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, rookery.E("read message", rookery.KindInvalid, fmt.Errorf("offset %d is negative", off))
	}
	done := 0
	for done < len(p) {
		plain, err := r.from(ctx, off+int64(done))
		if err != nil {
			return done, err
		}
		done += copy(p[done:], plain)
	}
	return done, nil
}

// from gives the plaintext from off to the end of its chunk, io.EOF behind the
// end of the message.
func (r *Reader) from(ctx context.Context, off int64) ([]byte, error) {
	if r.bad != nil {
		return nil, r.bad
	}
	if off >= r.layout.PlainSize {
		return nil, io.EOF
	}
	if err := r.load(ctx, int(off/ChunkSize)); err != nil {
		return nil, err
	}
	return r.plain[off%ChunkSize:], nil
}

// load makes chunk i the one in r.plain.
func (r *Reader) load(ctx context.Context, i int) error {
	if r.plain != nil && r.have == i {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.sealed == nil {
		r.sealed, r.unpacked = buffers.Get().(*chunkBuffer), buffers.Get().(*chunkBuffer)
	}
	r.plain = nil
	var plain []byte
	err := r.checked(ctx, r.sealed[:r.layout.ChunkLens[i]], r.starts[i], func(sealed []byte) (err error) {
		plain, err = r.open(i, sealed)
		return err
	})
	if err != nil {
		return err
	}
	r.have, r.plain = i, plain
	return nil
}

// open decrypts chunk i in place and unpacks it.
func (r *Reader) open(i int, sealed []byte) ([]byte, error) {
	last := i == len(r.layout.ChunkLens)-1
	want := int64(ChunkSize)
	if last {
		want = r.layout.PlainSize - int64(i)*ChunkSize
	}
	chunkNonce(&r.nonce, &r.aad, uint64(i), last)
	packed, err := r.gcm.Open(sealed[:0], r.nonce[:], sealed, r.aad[:])
	if err != nil {
		return nil, rookery.E("read message", rookery.KindDamaged, fmt.Errorf("chunk %d fails its check", i))
	}
	plain, ok := r.dict.unpack(r.unpacked[:0:ChunkSize], packed)
	if !ok || int64(len(plain)) != want {
		return nil, rookery.E("read message", rookery.KindDamaged, fmt.Errorf("chunk %d does not hold %d bytes", i, want))
	}
	return plain, nil
}

// checked reads bytes and opens them, from one copy after the other until one
// passes.
func (r *Reader) checked(ctx context.Context, p []byte, off int64, open func([]byte) error) error {
	if err := r.source.ReadAt(ctx, p, off); err != nil {
		return err
	}
	bad := open(p)
	if !rookery.Is(bad, rookery.KindDamaged) {
		return bad
	}
	var away error // a copy that cannot be read now, and may be good
	for n := 1; ; n++ {
		err := r.source.ReadCopy(ctx, p, off, n)
		switch {
		case err == nil && open(p) == nil:
			r.source.Copied(off, n, nil)
			return nil
		case errors.Is(err, ErrNoCopy) && away != nil:
			return rookery.E("read message", rookery.KindUnavailable, fmt.Errorf("%v; another copy cannot be read now: %w", bad, away))
		case errors.Is(err, ErrNoCopy):
			r.source.Copied(off, n, bad)
			return bad
		case ctx.Err() != nil:
			return rookery.E("read message", rookery.KindUnavailable, ctx.Err())
		case err != nil && !rookery.Is(err, rookery.KindNotFound) && !rookery.Is(err, rookery.KindDamaged):
			away = err
		}
	}
}

// WriteSection writes a range, cut to the message, to w, chunk by chunk.
func (r *Reader) WriteSection(ctx context.Context, w io.Writer, s message.Section) (int64, error) {
	off, end := r.cut(s)
	var done int64
	for off < end {
		plain, err := r.from(ctx, off)
		if err != nil {
			return done, err
		}
		n, err := w.Write(plain[:min(int64(len(plain)), end-off)])
		done, off = done+int64(n), off+int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// cut gives the bounds of a range inside the message.
func (r *Reader) cut(s message.Section) (off, end int64) {
	off = min(max(s.Offset, 0), r.Size())
	return off, off + min(max(s.Len, 0), r.Size()-off)
}

// ReadSection reads a whole range into memory, cut to the message.
func (r *Reader) ReadSection(ctx context.Context, s message.Section) ([]byte, error) {
	if r.bad != nil {
		return nil, r.bad
	}
	off, end := r.cut(s)
	p := make([]byte, end-off)
	if _, err := r.ReadAt(ctx, p, off); err != nil {
		return nil, err
	}
	return p, nil
}

// Section reads a range, cut to the message. Its Read may be mixed with the
// Reader's other methods, all on one goroutine.
func (r *Reader) Section(ctx context.Context, s message.Section) io.Reader {
	off, end := r.cut(s)
	return &sectionReader{ctx: ctx, r: r, off: off, end: end}
}

// sectionReader holds a context because io.Reader has none to pass; it lives
// for one command.
type sectionReader struct {
	ctx      context.Context
	r        *Reader
	off, end int64
}

func (s *sectionReader) Read(p []byte) (int, error) {
	if s.off >= s.end {
		if s.r.bad != nil {
			return 0, s.r.bad
		}
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	plain, err := s.r.from(s.ctx, s.off)
	if err != nil {
		return 0, err
	}
	n := copy(p, plain[:min(int64(len(plain)), s.end-s.off)])
	s.off += int64(n)
	return n, nil
}

func (s *sectionReader) WriteTo(w io.Writer) (int64, error) {
	n, err := s.r.WriteSection(s.ctx, w, message.Section{Offset: s.off, Len: s.end - s.off})
	s.off += n
	return n, err
}

// Verify reads the whole message and checks it against Layout.Digest.
func (r *Reader) Verify(ctx context.Context) error {
	if r.bad != nil {
		return r.bad
	}
	sum := sha256.New()
	if _, err := r.WriteSection(ctx, sum, message.Section{Offset: 0, Len: r.Size()}); err != nil {
		return err
	}
	want := keyedDigest(r.key, [32]byte(sum.Sum(nil)))
	if !hmac.Equal(want[:], r.layout.Digest[:]) {
		return rookery.E("verify message", rookery.KindDamaged, errors.New("the message is not the one that was encoded"))
	}
	return nil
}

// HoldsExtract says whether the sealed extract trails the encoded body.
func (r *Reader) HoldsExtract() bool { return r.layout.ExtractLen > 0 }

// Extract opens the sealed extract that trails the encoded body.
// KindDamaged if there is none: then it should have been in state.
func (r *Reader) Extract(ctx context.Context) (*message.Extract, error) {
	const op = "read extract"
	if r.bad != nil {
		return nil, r.bad
	}
	if r.layout.ExtractLen == 0 {
		return nil, rookery.E(op, rookery.KindDamaged, errors.New("the extract is not kept in the body"))
	}
	if r.layout.ExtractLen > maxExtract {
		return nil, rookery.E(op, rookery.KindDamaged, fmt.Errorf("the layout claims an extract of %d bytes", r.layout.ExtractLen))
	}
	var x *message.Extract
	err := r.checked(ctx, make([]byte, r.layout.ExtractLen), r.layout.ExtractOffset(), func(sealed []byte) (err error) {
		x, err = Open(sealed, r.key)
		return err
	})
	return x, err
}

// Close gives the buffers back. The Reader, and what Section gave, must not be
// used afterwards. It is optional: without it the collector does the same.
func (r *Reader) Close() {
	if r.sealed != nil {
		buffers.Put(r.sealed)
		buffers.Put(r.unpacked)
		r.sealed, r.unpacked, r.plain = nil, nil, nil
	}
}
