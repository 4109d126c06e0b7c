package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// Writer builds a small pack in memory.
type Writer struct {
	buf     []byte
	entries []Entry
}

// NewWriter begins a pack; capacity is a guess of its size.
func NewWriter(group rookery.GroupID, id command.PackID, capacity int) *Writer {
	w := &Writer{buf: make([]byte, 0, capacity+MaxHeader)}
	w.buf = append(w.buf, encodeHeader(group, id)...)
	return w
}

// Add appends a body of n encoded bytes, which read fills in: into p, from off
// of the body. On an error the pack is as it was.
func (w *Writer) Add(body command.BodyID, layout []byte, n int64, read func(p []byte, off int64) error) error {
	off := len(w.buf)
	if n <= 0 || len(w.entries) == MaxBodies {
		return rookery.E("write pack", rookery.KindInvalid, fmt.Errorf("body %d of %d bytes does not fit", body, n))
	}
	w.buf = append(w.buf, make([]byte, n)...)
	if err := read(w.buf[off:], 0); err != nil {
		w.buf = w.buf[:off]
		return err
	}
	w.entries = append(w.entries, Entry{Body: body, Off: int64(off), Len: n, Layout: layout, SHA256: sha256.Sum256(w.buf[off:])})
	return nil
}

// Entries are the bodies added so far.
func (w *Writer) Entries() []Entry { return w.entries }

// Finish gives the whole pack. The Writer is spent.
func (w *Writer) Finish() []byte {
	return append(w.buf, encodeTail(w.entries, int64(len(w.buf)))...)
}

// Stream is a pack of one large body, made while it is read: the body is never
// whole in memory. It can be read again after Seek to its start.
type Stream struct {
	head  []byte
	entry Entry
	tail  []byte // its digest is filled in when the body has passed
	read  func(p []byte, off int64) error

	pos      int64
	body     hash.Hash // of the body
	whole    hash.Hash // of the object
	err      error     // of read
	digested bool
}

// NewStream makes the pack of a body of n encoded bytes, which read gives by
// ranges.
func NewStream(group rookery.GroupID, id command.PackID, body command.BodyID, layout []byte, n int64,
	read func(p []byte, off int64) error) *Stream {
	s := &Stream{head: encodeHeader(group, id), read: read}
	s.entry = Entry{Body: body, Off: int64(len(s.head)), Len: n, Layout: layout}
	s.restart()
	return s
}

func (s *Stream) restart() {
	s.pos, s.body, s.whole, s.err, s.digested = 0, sha256.New(), sha256.New(), nil, false
	s.tail = encodeTail([]Entry{s.entry}, s.entry.Off+s.entry.Len)
}

// Size is the object's size in bytes.
func (s *Stream) Size() int64 { return s.entry.Off + s.entry.Len + int64(len(s.tail)) }

// Entry is the body's index entry, with its digest once all was read.
func (s *Stream) Entry() Entry { return s.entry }

// Sum is the digest of the object once all was read.
func (s *Stream) Sum() (sum [sha256.Size]byte) {
	s.whole.Sum(sum[:0])
	return sum
}

// Err is what the source failed with, if it did.
func (s *Stream) Err() error { return s.err }

// Read implements io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	n := 0
	end := s.entry.Off + s.entry.Len
	switch {
	case len(p) == 0:
		return 0, nil
	case s.pos < s.entry.Off:
		n = copy(p, s.head[s.pos:])
	case s.pos < end:
		n = int(min(int64(len(p)), end-s.pos))
		if err := s.read(p[:n], s.pos-s.entry.Off); err != nil {
			s.err = err
			return 0, err
		}
		s.body.Write(p[:n])
	default:
		s.digest()
		if n = copy(p, s.tail[s.pos-end:]); n == 0 {
			return 0, io.EOF
		}
	}
	s.whole.Write(p[:n])
	s.pos += int64(n)
	return n, nil
}

func (s *Stream) digest() {
	if s.digested {
		return
	}
	s.digested = true
	s.body.Sum(s.entry.SHA256[:0])
	s.tail = encodeTail([]Entry{s.entry}, s.entry.Off+s.entry.Len)
}

// Seek implements io.Seeker as far as a repeated upload needs it: to the start,
// and to tell the position.
func (s *Stream) Seek(offset int64, whence int) (int64, error) {
	switch {
	case whence == io.SeekCurrent && offset == 0:
		return s.pos, nil
	case whence == io.SeekStart && offset == 0:
		s.restart()
		return 0, nil
	}
	return 0, rookery.E("seek pack", rookery.KindInvalid, errors.New("a pack being made can only start again"))
}

// logBody gives the read function of a body in the log.
func logBody(ctx context.Context, log LogReader, group rookery.GroupID, pieces []mailbox.LogPiece) func(p []byte, off int64) error {
	return func(p []byte, off int64) error { return log.ReadPieces(ctx, group, pieces, p, off) }
}
