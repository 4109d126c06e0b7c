// Package spool holds one message between the wire and the storage: in memory while
// it is small, beyond that in a temporary file that is encrypted under a key of its
// own. It owns the policy of line endings and the budgets of the bytes that all
// spools take.
//
// It never reads what a message says, and never keeps one past Close.
package spool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"rookery"
)

// How much of a message stays in memory, in bytes: of each, and at most while
// there is spare memory. What is beyond goes to an encrypted temporary file.
const (
	memoryOfEach = 32 << 10
	MostMemory   = 256 << 10
)

// chunkSize is the plaintext of one sealed piece of the temporary file.
const chunkSize = 32 << 10

// Budget bounds the bytes that spools hold together, in memory and in files.
type Budget struct {
	most int64
	used atomic.Int64
}

// NewBudget makes one of most bytes.
func NewBudget(most int64) *Budget { return &Budget{most: most} }

// Used is how many bytes of it are taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// take reports whether n more bytes fit.
func (b *Budget) take(n int64) bool {
	if b == nil || b.used.Add(n) <= b.most {
		return true
	}
	b.used.Add(-n)
	return false
}

func (b *Budget) give(n int64) {
	if b != nil {
		b.used.Add(-n)
	}
}

// SpoolOptions say where a Spool overflows to, how much it takes, and what it
// does about line endings.
type Options struct {
	// Dir holds the temporary file; "" is the system's.
	Dir string
	// Limit is the largest message in bytes; 0 is no limit.
	Limit int64
	// Lines is the line-ending policy.
	Lines Lines
	// Memory is how many bytes stay in memory at most; 0 is MostMemory.
	Memory int
	// Spare is the memory that spools share beyond their first 32 KiB; nil is no
	// bound.
	Spare *Budget
	// Budget is shared with other spools; nil is no bound.
	Budget *Budget
}

// Spool holds one message between the wire and the storage: its first
// Memory bytes in memory, the rest in a temporary file that has no name
// and is sealed with a key that exists only in this process. Write, then
// Finish, then any number of Open; Close forgets everything. A Spool is used by
// one goroutine at a time.
type Spool struct {
	o      Options
	head   []byte
	tail   []byte // plaintext of the unfinished chunk of the file
	file   *os.File
	aead   cipher.AEAD
	chunks int64 // sealed so far
	size   int64
	lines  lineState
	done   bool
	closed bool
	spare  int64 // taken of SpoolOptions.Spare
	err    error
}

// NewSpool makes an empty Spool. It does no I/O.
func New(o Options) *Spool {
	if o.Memory <= 0 {
		o.Memory = MostMemory
	}
	return &Spool{o: o}
}

// Write takes the next bytes of the message. The first error stays: KindInvalid
// for line endings that the policy refuses, KindTooLarge over the limit,
// KindLimit where the budget of all spools is used up,
// KindUnavailable when the temporary file cannot be written.
func (s *Spool) Write(p []byte) (int, error) {
	if s.done && s.err == nil {
		s.err = errors.New("delivery: write to a finished spool")
	}
	if s.err == nil && len(p) > 0 {
		if s.o.Lines == Normalise {
			s.err = s.lines.normalise(p, s.store)
		} else if s.err = s.lines.check(p); s.err == nil {
			s.err = s.store(p)
		}
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// Finish says that the message is complete. It reports the first error of
// Write, or a line ending that never came.
func (s *Spool) Finish() error {
	if s.err == nil && !s.done {
		s.err = s.lines.finish(s.o.Lines, s.store)
	}
	if s.err == nil && len(s.tail) > 0 {
		s.err = s.seal()
	}
	s.done = true
	return s.err
}

// Size is the number of bytes held so far, after normalisation.
func (s *Spool) Size() int64 { return s.size }

// Head is the beginning of the message: all of it, or its first Memory bytes. The caller must not change it, and it is valid until Close.
func (s *Spool) Head() []byte { return s.head }

// Fixes tells what the Normalise policy has changed.
func (s *Spool) Fixes() Fixes { return s.lines.fixes }

// Open reads the message from its beginning. Readers are independent of each
// other and must be closed before the Spool.
func (s *Spool) Open() (io.ReadCloser, error) {
	if !s.done || s.err != nil {
		return nil, rookery.E("open spool", rookery.KindInvalid, fmt.Errorf("the message is not complete: %w", s.err))
	}
	return &reader{s: s}, nil
}

// Close forgets the message. It may be called more than once.
func (s *Spool) Close() error {
	if !s.closed {
		s.closed = true
		s.o.Budget.give(s.size)
		s.o.Spare.give(s.spare)
	}
	s.head, s.tail, s.aead, s.done = nil, nil, nil, true
	if s.err == nil {
		s.err = errors.New("delivery: the spool is closed")
	}
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// store keeps bytes that have passed the line-ending policy.
func (s *Spool) store(p []byte) error {
	if s.o.Limit > 0 && s.size+int64(len(p)) > s.o.Limit {
		return rookery.E("spool message", rookery.KindTooLarge,
			fmt.Errorf("the message is larger than the limit of %d bytes", s.o.Limit))
	}
	if !s.o.Budget.take(int64(len(p))) {
		return rookery.E("spool message", rookery.KindLimit, errors.New("too many bytes of messages are arriving at once"))
	}
	s.size += int64(len(p))
	if room := s.o.Memory - len(s.head); room > 0 {
		n := s.inMemory(min(room, len(p)))
		s.head = append(s.head, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		n := min(chunkSize-len(s.tail), len(p))
		s.tail = append(s.tail, p[:n]...)
		p = p[n:]
		if len(s.tail) == chunkSize {
			if err := s.seal(); err != nil {
				return err
			}
		}
	}
	return nil
}

// inMemory says how many of n bytes go to memory. Where the spare memory is used
// up, what is there is the last.
func (s *Spool) inMemory(n int) int {
	had := max(len(s.head), memoryOfEach)
	more := int64(len(s.head) + n - had)
	if more <= 0 {
		return n
	}
	if s.o.Spare.take(more) {
		s.spare += more
		return n
	}
	s.o.Memory = had
	return had - len(s.head)
}

// seal writes the unfinished chunk to the file. Only the last chunk of a
// message is shorter than chunkSize, so positions follow from chunk numbers.
func (s *Spool) seal() error {
	if s.file == nil {
		if err := s.overflow(); err != nil {
			return rookery.E("spool message", rookery.KindUnavailable, err)
		}
	}
	number := s.chunks
	sealed := s.aead.Seal(nil, chunkNonce(number), s.tail, nil)
	s.tail = s.tail[:0]
	if _, err := s.file.WriteAt(sealed, number*int64(chunkSize+s.aead.Overhead())); err != nil {
		return rookery.E("spool message", rookery.KindUnavailable, fmt.Errorf("write the temporary file: %w", err))
	}
	s.chunks++
	return nil
}

// overflow makes the file and takes its name away at once, so that nothing
// remains of it whatever happens to the process.
func (s *Spool) overflow() error {
	var key [32]byte
	rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return err
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.o.Dir, "rookery-spool-*")
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return fmt.Errorf("unlink the temporary file: %w", err)
	}
	s.file = f
	return nil
}

func chunkNonce(number int64) []byte {
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], uint64(number))
	return nonce[:]
}

// reader reads a finished Spool in order.
type reader struct {
	s    *Spool
	off  int64  // of the next byte to give out
	rest []byte // of the chunk at off, not given out yet
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.off >= r.s.size {
		return 0, io.EOF
	}
	if r.off < int64(len(r.s.head)) {
		n := copy(p, r.s.head[r.off:])
		r.off += int64(n)
		return n, nil
	}
	if len(r.rest) == 0 {
		if err := r.load(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	r.off += int64(n)
	return n, nil
}

func (r *reader) load() (err error) {
	r.rest, err = r.s.chunk(r.s.chunkAt(r.off))
	return err
}

// chunkAt is the number of the chunk that holds the byte at off, which is beyond
// the head.
func (s *Spool) chunkAt(off int64) int64 { return (off - int64(s.o.Memory)) / chunkSize }

// chunk reads a chunk of the file.
func (s *Spool) chunk(number int64) ([]byte, error) {
	if s.file == nil {
		return nil, errors.New("delivery: read from a closed spool")
	}
	beyond := int64(s.o.Memory)
	plain := min(chunkSize, s.size-beyond-number*chunkSize)
	sealed := make([]byte, plain+int64(s.aead.Overhead()))
	if _, err := s.file.ReadAt(sealed, number*int64(chunkSize+s.aead.Overhead())); err != nil {
		return nil, rookery.E("read spool", rookery.KindUnavailable, fmt.Errorf("read the temporary file: %w", err))
	}
	chunk, err := s.aead.Open(sealed[:0], chunkNonce(number), sealed, nil)
	if err != nil {
		return nil, rookery.E("read spool", rookery.KindDamaged, errors.New("the temporary file fails its checks; look at the disk"))
	}
	return chunk, nil
}

// Close ends the reader.
func (r *reader) Close() error {
	r.rest = nil
	return nil
}

// ReaderAt reads a finished Spool at offsets, for one goroutine, until the Spool is
// closed. It keeps one piece of the temporary file in memory.
func (s *Spool) ReaderAt() io.ReaderAt { return &readerAt{s: s, number: -1} }

type readerAt struct {
	s      *Spool
	number int64 // of the chunk that is in memory, -1: none
	chunk  []byte
}

// ReadAt implements io.ReaderAt.
func (a *readerAt) ReadAt(p []byte, off int64) (n int, err error) {
	s := a.s
	for n < len(p) {
		at := off + int64(n)
		switch {
		case at >= s.size:
			return n, io.EOF
		case at < int64(len(s.head)):
			n += copy(p[n:], s.head[at:])
			continue
		}
		if number := s.chunkAt(at); number != a.number {
			if a.chunk, err = s.chunk(number); err != nil {
				a.number = -1
				return n, err
			}
			a.number = number
		}
		n += copy(p[n:], a.chunk[at-int64(s.o.Memory)-a.number*chunkSize:])
	}
	return n, nil
}
