package sealed

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"rookery"
)

// Writer makes one object in memory.
type Writer struct {
	place  Place
	t      trailer
	opener *opener
	out    []byte
	frames []frame
}

// NewWriter begins an object under the key in use.
func NewWriter(ctx context.Context, p Place, k Keys) (*Writer, error) {
	version, key, err := k.Current(ctx)
	if err != nil {
		return nil, err
	}
	w := &Writer{place: p, t: trailer{kind: p.Kind, version: version}, out: []byte(headMagic)}
	rand.Read(w.t.salt[:])
	w.opener, err = p.open(&w.t, key)
	return w, err
}

// Size is that of the object so far, in bytes, without its footer.
func (w *Writer) Size() int64 { return int64(len(w.out)) }

// Frame appends a frame of at most MaxFrame bytes and gives its number.
func (w *Writer) Frame(plain []byte) (int, error) {
	if len(plain) > MaxFrame {
		return 0, rookery.E("write object", rookery.KindTooLarge, fmt.Errorf("a frame of %d bytes, at most %d", len(plain), MaxFrame))
	}
	n := len(w.frames)
	off := int64(len(w.out))
	w.seal(plain, nonce(n, false))
	w.frames = append(w.frames, frame{Off: off, Len: int64(len(w.out)) - off})
	return n, nil
}

func (w *Writer) seal(plain, nonce []byte) {
	w.out = w.opener.aead.Seal(w.out, nonce, compress(plain), w.opener.bound[:])
}

// Finish ends the object with its footer, in which words is the caller's, and gives
// it. The Writer must not be used afterwards.
func (w *Writer) Finish(words any) ([]byte, error) {
	own, err := cbor.Marshal(words)
	if err != nil {
		return nil, rookery.E("write object", rookery.KindInvalid, err)
	}
	b, err := cbor.Marshal(footer{Frames: w.frames, Words: own})
	if err != nil {
		return nil, rookery.E("write object", rookery.KindInvalid, err)
	}
	from := len(w.out)
	w.seal(b, nonce(0, true))
	w.t.footer = uint32(len(w.out) - from)
	w.out = append(w.out, w.t.encode()...)
	if len(w.out) > MaxObject {
		return nil, rookery.E("write object", rookery.KindTooLarge,
			fmt.Errorf("%s has %d bytes, at most %d", w.place.Name, len(w.out), MaxObject))
	}
	return w.out, nil
}
