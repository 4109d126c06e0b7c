package body

import "context"
import "io"

// Reader reads a message's plaintext by ranges. It keeps the last chunk and at
// most two chunk buffers; it is for one goroutine at a time.
type Reader struct{}

// NewReader makes a Reader. at must fill p with the encoded body's bytes from
// off; it is never asked beyond Layout.EncodedSize.
func NewReader(layout Layout, key MessageKey, at func(ctx context.Context, p []byte, off int64) error) *Reader {
	panic("unwritten")
}

// Size is the message's size in bytes.
func (r *Reader) Size() int64 { panic("unwritten") }

// ReadAt fills p from offset off. It returns io.EOF when fewer than len(p)
// bytes are left; KindDamaged when a check fails; the error of at as it is.
func (r *Reader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) { panic("unwritten") }

// Section reads a range, cut to the message.
func (r *Reader) Section(ctx context.Context, s Section) io.Reader { panic("unwritten") }

// ReadSection reads a whole range into memory, cut to the message.
func (r *Reader) ReadSection(ctx context.Context, s Section) ([]byte, error) { panic("unwritten") }

// WriteSection writes a range, cut to the message, to w, chunk by chunk.
func (r *Reader) WriteSection(ctx context.Context, w io.Writer, s Section) (int64, error) {
	panic("unwritten")
}

// Verify reads the whole message and checks it against Layout.Digest.
func (r *Reader) Verify(ctx context.Context) error { panic("unwritten") }

// Extract opens the sealed extract that trails the encoded body.
// KindNotFound if Layout.ExtractLen is 0.
func (r *Reader) Extract(ctx context.Context) (*Extract, error) { panic("unwritten") }

// Close gives the buffers back. The Reader must not be used afterwards.
func (r *Reader) Close() { panic("unwritten") }
