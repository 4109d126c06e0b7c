package past

import (
	"os"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// piece names bytes of a log entry.
type piece struct {
	index rookery.LogIndex
	off   int64
	len   int64
}

// place is where they are now: in a pack, or in the file beside the rows.
type place struct {
	pack command.PackID
	off  int64
}

// bodies know where the bodies of that time lie.
type bodies struct {
	image *imageReader
	file  *os.File
	size  int64
	// byID has where packs held bodies when the image was made, pieces what segments
	// say.
	byID   map[mailbox.BodyID][]mailbox.PackPiece
	pieces map[piece]place
}

func newBodies(path string, image *imageReader) (*bodies, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, rookery.E("make room for bodies", rookery.KindUnavailable, err)
	}
	return &bodies{image: image, file: f, byID: map[mailbox.BodyID][]mailbox.PackPiece{}, pieces: map[piece]place{}}, nil
}

func (b *bodies) close() error { return b.file.Close() }

// packed notes where a body lay when the image was made.
func (b *bodies) packed(x mailbox.Body) {
	if len(x.Pack) > 0 {
		b.byID[x.ID] = x.Pack
	}
}

// keep notes where a part of a body is, or puts it into the file.
func (b *bodies) keep(at piece, in place, bytes []byte) error {
	if in.pack == "" {
		in.off = b.size
		if _, err := b.file.WriteAt(bytes, b.size); err != nil {
			return rookery.E("keep body", rookery.KindUnavailable, err)
		}
		b.size += int64(len(bytes))
	}
	b.pieces[at] = in
	return nil
}
