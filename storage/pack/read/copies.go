package read

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// faults count reads that did not go as they should.
type faults struct {
	failed, healed, lost atomic.Uint64
	last                 atomic.Int64 // when one failed, unix seconds
}

func (f *faults) fail() {
	f.failed.Add(1)
	f.last.Store(time.Now().Unix())
}

// ReadStats say how reading fares since the start.
type Stats struct {
	// Gets are the requests to the store, Bytes what they brought.
	Gets  uint64 `json:"gets"`
	Bytes int64  `json:"bytes"`
	// Cached is the size of the cache in bytes.
	Cached int64 `json:"cached"`
	// Failed are the reads of bytes that were not there or failed their check;
	// of them Healed were read from another copy, Lost from none.
	Failed uint64 `json:"failed"`
	Healed uint64 `json:"healed"`
	Lost   uint64 `json:"lost"`
	// LastFailed is when one failed last, null where none did.
	LastFailed *time.Time `json:"last_failed,omitempty"`
}

// Stats gives a copy.
func (b *Bodies) Stats() Stats {
	s := Stats{Failed: b.faults.failed.Load(), Healed: b.faults.healed.Load(), Lost: b.faults.lost.Load()}
	if at := b.faults.last.Load(); at != 0 {
		when := time.Unix(at, 0).UTC()
		s.LastFailed = &when
	}
	b.blocks.mu.Lock()
	s.Gets, s.Bytes = b.blocks.gets, b.blocks.bytes
	b.blocks.mu.Unlock()
	if b.o.Cache != nil {
		s.Cached = b.o.Cache.Size()
	}
	return s
}

// Open gives a body's copies to read from.
func (b *Bodies) Open(group rookery.GroupID, x mailbox.Body) body.Source { return source{b, group, x} }

// source is one body with all its copies.
type source struct {
	b     *Bodies
	group rookery.GroupID
	x     mailbox.Body
}

var _ body.Source = source{}

// ReadAt implements body.Source.
func (s source) ReadAt(ctx context.Context, p []byte, off int64) error {
	return s.b.ReadAt(ctx, s.group, s.x, p, off)
}

// ReadCopy implements body.Source: the object in the store, without the cache,
// then the log here, then another replica's. What the cache holds is dropped.
func (s source) ReadCopy(ctx context.Context, p []byte, off int64, n int) error {
	x := s.x
	if now, err := s.now(); err == nil {
		x = now // it may have moved since
	}
	if n == 1 {
		s.b.faults.fail()
	}
	read := s.b.Copy(s.group, x, n)
	if read == nil {
		return body.ErrNoCopy
	}
	return read(ctx, p, off)
}

// copies are where a body may lie, from 1 on.
var copies = [...]string{1: "the object store", 2: "this node's log", 3: "another node's log"}

// Copies is how many copies of a body there may be.
const Copies = len(copies) - 1

// CopyName says where copy n lies.
func CopyName(n int) string { return copies[n] }

// Copy reads a body's copy n, from 1 to Copies and without the cache, nil where
// there is no such copy. What it gives is checked by nobody yet.
func (b *Bodies) Copy(group rookery.GroupID, x mailbox.Body, n int) pack.BodyReader {
	switch n {
	case 1:
		return func(ctx context.Context, p []byte, off int64) error { return b.readAgain(ctx, group, x, p, off) }
	case 2:
		return func(ctx context.Context, p []byte, off int64) error {
			return b.o.Checked.ReadPieces(ctx, group, x.Log, p, off)
		}
	case 3:
		return func(ctx context.Context, p []byte, off int64) error {
			return b.o.Remote.ReadPieces(ctx, group, x.Log, p, off)
		}
	}
	return nil
}

func (s source) now() (mailbox.Body, error) {
	if s.b.o.Body == nil {
		return mailbox.Body{}, rookery.E("find body", rookery.KindNotFound, errors.New("nobody to ask"))
	}
	return s.b.o.Body(s.group, s.x.ID)
}

// Copied implements body.Source.
func (s source) Copied(off int64, n int, err error) {
	if err != nil {
		s.b.faults.lost.Add(1)
		s.b.o.Logger.Error("a body is damaged wherever it lies; see rookery storage check", "group", s.group, "body", s.x.ID,
			"offset", off, "error", err)
		return
	}
	s.b.faults.healed.Add(1)
	s.b.o.Logger.Warn("a body failed its check and was read from another copy; see rookery storage check",
		"group", s.group, "body", s.x.ID, "offset", off, "from", CopyName(n))
}

// readAgain reads from the store what was read before and was bad.
func (b *Bodies) readAgain(ctx context.Context, group rookery.GroupID, x mailbox.Body, p []byte, off int64) error {
	if len(x.Pack) == 0 {
		return rookery.E("read body", rookery.KindNotFound, errors.New("it is in no pack"))
	}
	return b.eachPiece(x.Pack, p, off, func(q mailbox.PackPiece, p []byte, off int64) error {
		first := q.Off + off
		b.blocks.drop(pack.Key(group, q.Pack), first/blockSize, (first+int64(len(p))-1)/blockSize)
		return b.readStore(ctx, group, q, p, off)
	})
}

// rescue reads from another replica's log what the store does not give. why is
// the store's error, and the answer where there is no other copy; while a node
// that may have one does not answer, the answer is KindUnavailable.
func (b *Bodies) rescue(ctx context.Context, group rookery.GroupID, x mailbox.Body, p []byte, off int64, why error) error {
	broken := rookery.Is(why, rookery.KindDamaged)
	if broken {
		b.faults.fail()
	}
	err := b.o.Remote.ReadPieces(ctx, group, x.Log, p, off)
	switch {
	case err != nil && broken && !rookery.Is(err, rookery.KindNotFound) && !rookery.Is(err, rookery.KindDamaged):
		why = rookery.E("read body", rookery.KindUnavailable, fmt.Errorf("%v; another node may have a copy, and does not answer: %w", why, err))
	case err == nil && broken:
		b.faults.healed.Add(1)
		b.o.Logger.Warn("a body is not in its pack and was read from another node's log; see rookery storage check",
			"group", group, "body", x.ID, "error", why)
	case err != nil && broken:
		b.faults.lost.Add(1)
		why = rookery.E("read body", rookery.KindDamaged, fmt.Errorf("%w; no other copy: %v", why, err))
	}
	if err == nil {
		return nil
	}
	return why
}
