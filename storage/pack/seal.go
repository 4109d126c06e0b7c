package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// sealed is a pack ready to go up.
type sealed struct {
	id      command.PackID
	size    int64
	entries []Entry
	sum     func() [sha256.Size]byte // of the object, valid after it was read
	source  io.ReadSeeker
	broken  func() error // what the source failed with
}

// seal makes one pack of a batch, stores it, checks it and has the group agree.
// It returns the bytes it worked on and whether bodies were packed.
func (p *Packer) seal(ctx context.Context, batch []mailbox.Body) (int64, bool) {
	s := p.build(ctx, batch)
	if s == nil {
		return 0, false
	}
	if err := p.store(ctx, s); err != nil {
		if ctx.Err() == nil && !errors.Is(err, errStale) {
			p.leaveOut(s.entries[0].Body, err)
		}
		return s.size, false
	}
	if err := p.commit(ctx, s); err != nil {
		if ctx.Err() == nil {
			p.o.Logger.Error("the group refuses a pack; its object is left to the orphan sweep", "group", p.o.Group, "pack", s.id, "error", err)
			p.failed("the group refuses a pack", err)
			for _, e := range s.entries {
				p.unreadable[e.Body] = true // until the next sweep, not in a tight loop
			}
		}
		return s.size, false
	}
	p.mu.Lock()
	p.stats.Packs++
	p.stats.Bodies += uint64(len(s.entries))
	p.stats.Bytes += s.size
	p.mu.Unlock()
	p.recovered()
	p.o.Logger.Debug("packed", "group", p.o.Group, "pack", s.id, "bodies", len(s.entries), "bytes", s.size)
	return s.size, true
}

// build reads the bodies from the log: a small pack into memory, a large body
// as a stream. A body the log cannot give is left out. Nil: nothing to pack.
func (p *Packer) build(ctx context.Context, batch []mailbox.Body) *sealed {
	id := NewID(p.o.Clock())
	if b := batch[0]; len(batch) == 1 && b.Encoded > p.o.Large {
		st := NewStream(p.o.Group, id, b.ID, b.Layout, b.Encoded, logBody(ctx, p.o.Log, p.o.Group, b.Log))
		return &sealed{id: id, size: st.Size(), entries: []Entry{st.Entry()}, sum: st.Sum, source: st, broken: st.Err}
	}
	var capacity int64
	for _, b := range batch {
		capacity += b.Encoded + int64(len(b.Layout)) + 64
	}
	w := NewWriter(p.o.Group, id, int(capacity))
	for _, b := range batch {
		if ctx.Err() != nil {
			return nil
		}
		if err := w.Add(b.ID, b.Layout, b.Encoded, logBody(ctx, p.o.Log, p.o.Group, b.Log)); err != nil {
			p.leaveOut(b.ID, err)
		}
	}
	if len(w.Entries()) == 0 || ctx.Err() != nil {
		return nil
	}
	return sealedIn(id, w)
}

// leaveOut sets a body aside until the next sweep, so that one damaged entry
// does not stop the others.
func (p *Packer) leaveOut(id command.BodyID, err error) {
	p.unreadable[id] = true
	p.mu.Lock()
	p.stats.Unreadable = len(p.unreadable)
	p.mu.Unlock()
	p.o.Logger.Error("a body cannot be read from the log and is not packed; it is tried again later", "group", p.o.Group,
		"body", id, "error", err)
}

// errStale is a pack whose name has become so old that the group might refuse
// it: its bodies are packed again under a new one.
var errStale = errors.New("its name is too old by now")

// store puts the pack and reads it back, as often as it takes. The name stays
// the same: a PUT whose answer was lost is overwritten by the same bytes. It
// fails only when the source does, the name becomes old or ctx ends.
func (p *Packer) store(ctx context.Context, s *sealed) error {
	return p.persist(ctx, "cannot store a pack", func() (bool, error) {
		if t, ok := s.id.Time(); ok && p.o.Clock().Sub(time.Unix(0, t)) > p.o.NameLife/2 {
			return true, errStale
		}
		return p.attempt(ctx, s)
	})
}

// commit proposes the pack until it is known to be agreed on or refused.
func (p *Packer) commit(ctx context.Context, s *sealed) error {
	c := &command.Packed{Pack: s.id, Size: s.size}
	for _, e := range s.entries {
		c.Bodies = append(c.Bodies, command.PackedBody{Body: e.Body, Off: e.Off, Len: e.Len})
	}
	return p.propose(ctx, c, rookery.KindExists)
}

// propose repeats a command while its outcome is in doubt. done is the kind of
// refusal that says an earlier try was applied.
func (p *Packer) propose(ctx context.Context, c command.Command, done rookery.Kind) error {
	return p.persist(ctx, "cannot have the group agree", func() (bool, error) {
		err := p.o.Propose(ctx, p.o.Group, c)
		if rookery.Is(err, done) {
			return true, nil
		}
		switch rookery.KindOf(err) {
		case rookery.KindInvalid, rookery.KindConflict, rookery.KindNotFound, rookery.KindTooLarge:
			return true, err
		}
		return false, err
	})
}

// persist repeats fn with growing jittered pauses until it succeeds, says that
// its error is for good, or ctx ends.
func (p *Packer) persist(ctx context.Context, what string, fn func() (final bool, err error)) error {
	for pause := p.o.RetryMin; ; pause = min(2*pause, p.o.RetryMax) {
		final, err := fn()
		if err == nil || final {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		p.failed(what, err)
		t := time.NewTimer(pause/2 + time.Duration(rand.Int64N(int64(pause/2)+1)))
		select {
		case <-ctx.Done():
			t.Stop()
			return errors.Join(ctx.Err(), err)
		case <-t.C:
		}
	}
}

// sealedIn is a pack built in memory.
func sealedIn(id command.PackID, w *Writer) *sealed {
	entries := w.Entries()
	object := w.Finish()
	return &sealed{id: id, size: int64(len(object)), entries: entries, source: bytes.NewReader(object),
		sum: func() [sha256.Size]byte { return sha256.Sum256(object) }, broken: func() error { return nil }}
}

// attempt puts a pack once and reads it back. final is that the source failed,
// which no other attempt mends.
func (p *Packer) attempt(ctx context.Context, s *sealed) (final bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*p.patience(s.size))
	defer cancel()
	key := Key(p.o.Group, s.id)
	if _, err := s.source.Seek(0, io.SeekStart); err != nil {
		return true, err
	}
	if err := p.o.Store.Put(ctx, key, s.source, s.size, blob.PutOptions{}); err != nil {
		if broken := s.broken(); broken != nil {
			return true, broken
		}
		return false, err
	}
	r, err := p.o.Store.Get(ctx, key, 0, -1)
	if err != nil {
		return false, err
	}
	defer r.Close()
	sum, n, err := digestOf(io.LimitReader(r, s.size+1)) // one more tells a longer object
	if err == nil && (n != s.size || sum != s.sum()) {
		err = rookery.E("read back", rookery.KindDamaged,
			fmt.Errorf("%s came back with %d bytes and another digest than the %d put", key, n, s.size))
	}
	return false, err
}

// slowest is the least rate, in bytes a second, at which a store is of use. One
// that dribbles is a store that is away, and must not hold up the packing
// without a word.
const slowest = 64 << 10

// patience is how long so many bytes may be under way.
func (p *Packer) patience(size int64) time.Duration {
	return p.o.Patience + time.Duration(size/slowest)*time.Second
}
