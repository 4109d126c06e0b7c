package past

import (
	"bytes"
	"context"
	"slices"

	"rookery/backup/archive"
	"rookery/backup/sealed"
)

// imageReader reads rows of an image by key, mostly in order.
type imageReader struct {
	ctx   context.Context
	a     *Archive
	info  archive.ImageInfo
	words *archive.ImageWords
	part  *sealed.Reader
	at    int // number of part
	// frame is the last one read, which many neighbours are in, and rows what is in it.
	frame []byte
	rows  []row
	is    archive.FrameAt
}

type row struct{ k, v []byte }

func (a *Archive) image(ctx context.Context, info archive.ImageInfo, words *archive.ImageWords) *imageReader {
	return &imageReader{ctx: ctx, a: a, info: info, words: words, is: archive.FrameAt{Part: -1}}
}

// read calls fn for the rows from <= key < to, rising.
func (r *imageReader) read(from, to []byte, fn func(k, v []byte) error) error {
	for _, at := range r.words.Frames(from, to) {
		rows, err := r.load(at)
		if err != nil {
			return err
		}
		first, _ := slices.BinarySearchFunc(rows, from, func(x row, k []byte) int { return bytes.Compare(x.k, k) })
		for _, x := range rows[first:] {
			if bytes.Compare(x.k, to) >= 0 {
				break
			}
			if err := fn(x.k, x.v); err != nil {
				return err
			}
		}
	}
	return nil
}

// load gives the rows of a frame.
func (r *imageReader) load(at archive.FrameAt) ([]row, error) {
	if r.rows != nil && r.is == at {
		return r.rows, nil
	}
	b, err := r.bytes(at)
	if err != nil {
		return nil, err
	}
	rows := make([]row, 0, 256)
	if err := archive.Rows(b, func(k, v []byte) error {
		rows = append(rows, row{k, v})
		return nil
	}); err != nil {
		return nil, err
	}
	r.rows = rows
	return rows, nil
}

// bytes reads a frame.
func (r *imageReader) bytes(at archive.FrameAt) ([]byte, error) {
	if r.is == at {
		return r.frame, nil
	}
	if r.part == nil || r.at != at.Part {
		part, err := r.a.Open(r.ctx, sealed.ImagePart, r.info.Part(at.Part), r.words.Parts[at.Part].Size)
		if err != nil {
			return nil, err
		}
		r.part, r.at = part, at.Part
	}
	b, err := r.part.Frame(r.ctx, at.Frame)
	if err != nil {
		return nil, err
	}
	r.frame, r.rows, r.is = b, nil, at
	return b, nil
}

// chunk reads a part of a body that lay in the log when the image was made; nil where
// the image has none of that place.
func (r *imageReader) chunk(p piece) ([]byte, error) {
	for n := range r.words.Parts {
		for _, c := range r.words.Parts[n].Chunks {
			if c.Index == p.index && c.Off == p.off && c.Len == p.len {
				return r.bytes(archive.FrameAt{Part: n, Frame: c.Frame})
			}
		}
	}
	return nil, nil
}
