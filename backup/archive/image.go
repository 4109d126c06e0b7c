package archive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sort"

	"rookery"
)

// ImageWords are an image's manifest: its footer.
type ImageWords struct {
	Term uint64 `cbor:"1,keyasint"`
	// Parts are its parts, in order.
	Parts []PartWords `cbor:"2,keyasint"`
	// Rows counts the rows in all of them, Bytes the parts' objects together.
	Rows  uint64 `cbor:"3,keyasint"`
	Bytes int64  `cbor:"4,keyasint"`
	// Gap, where set, is what the archive lacks before this image.
	Gap *Gap `cbor:"5,keyasint,omitempty"`
	// Reason is why it was made.
	Reason string `cbor:"6,keyasint,omitempty"`
}

// Gap is a span of time that cannot be restored: from the last entry that the
// archive has to the image's, group time in unix nanoseconds.
type Gap struct {
	From   int64  `cbor:"1,keyasint" json:"-"`
	To     int64  `cbor:"2,keyasint" json:"-"`
	Reason string `cbor:"3,keyasint" json:"reason"`
}

// PartWords are one part of an image.
type PartWords struct {
	// Size is the object's, in bytes.
	Size int64 `cbor:"1,keyasint"`
	// Keys are the first key of each of its frames; the frames of chunks, which
	// come behind all rows, have none.
	Keys [][]byte `cbor:"2,keyasint,omitempty"`
	// Chunks say what lies in the frames of chunks, by number of the frame.
	Chunks []Chunk `cbor:"3,keyasint,omitempty"`
}

// Chunk is a part of a body that no pack held when the image was made, and that the
// segments before it need not have: so many bytes from an offset of a log entry.
type Chunk struct {
	Frame int              `cbor:"1,keyasint"`
	Index rookery.LogIndex `cbor:"2,keyasint"`
	Off   int64            `cbor:"3,keyasint"`
	Len   int64            `cbor:"4,keyasint"`
}

func appendRow(b, k, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(k)))
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(append(b, k...), v...)
}

// Rows calls fn for the rows of an image's frame, in the order of their keys, until
// it returns an error. What it is given shares the frame's memory.
func Rows(b []byte, fn func(k, v []byte) error) error {
	r := reader{b: b}
	for len(r.b) > 0 {
		kn, vn := r.uvarint(), r.uvarint()
		k, v := r.take(kn), r.take(vn)
		if r.bad || kn == 0 {
			return malformed("an image")
		}
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// FrameAt names a frame of an image.
type FrameAt struct{ Part, Frame int }

// Frames are those that may have rows from <= key < to, in order.
func (w *ImageWords) Frames(from, to []byte) (all []FrameAt) {
	for p := range w.Parts {
		keys := w.Parts[p].Keys
		first := sort.Search(len(keys), func(i int) bool { return bytes.Compare(keys[i], from) > 0 })
		for f := max(0, first-1); f < len(keys) && bytes.Compare(keys[f], to) < 0; f++ {
			if f+1 < len(keys) && bytes.Compare(keys[f+1], from) <= 0 {
				continue
			}
			all = append(all, FrameAt{p, f})
		}
	}
	return all
}

func (i *ImageInfo) String() string {
	return fmt.Sprintf("image of group %d at entry %d", i.Group, i.Index)
}
