// Package check compares the packs in the object store with the digests they
// carry and with a group's state, and finds in packs alone what a lost state
// knew of them.
//
// It owns the kinds of faults and their order, and the salvage of a pack whose
// index is damaged. It changes neither store nor state: mending is its
// caller's.
package check

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// Fault says what is wrong with a pack or a body.
type Fault string

// The faults a Checker finds.
const (
	FaultMissing Fault = "missing" // there is no object
	FaultSize    Fault = "size"    // the object is shorter or longer than the state says
	FaultHeader  Fault = "header"  // it does not begin as this pack
	FaultFooter  Fault = "footer"  // its index cannot be read
	FaultDigest  Fault = "digest"  // a body's bytes are not those that were put
	FaultPlace   Fault = "place"   // a body does not lie where the state says
	FaultRecord  Fault = "record"  // the state points into a pack it does not know
)

// Finding is one thing that is wrong. Body is 0 where it is the pack's.
type Finding struct {
	Group  rookery.GroupID `json:"group"`
	Pack   command.PackID  `json:"pack"`
	Body   command.BodyID  `json:"body,omitempty"`
	Fault  Fault           `json:"fault"`
	Detail string          `json:"detail"`
	// Needed says that mail needs the body (of a pack's: some body in it); a
	// fault in what nothing needs goes with the pack.
	Needed bool `json:"needed"`
}

// State is what a Checker reads of a group's state; *mailbox.Machine is one.
type State interface {
	Packs(after command.PackID, limit int) ([]mailbox.Pack, error)
	Pack(command.PackID) (mailbox.Pack, error)
	Body(command.BodyID) (mailbox.Body, error)
	Bodies(from command.BodyID, limit int) ([]mailbox.Body, error)
}

// Options are what a Checker works with; all but Rate, Sync and Found are
// required.
type Options struct {
	Group rookery.GroupID
	State State
	Store blob.Store
	// Sync returns when State shows everything agreed on before the call, so
	// that a pack which was just cleared away is not taken for lost.
	Sync func(context.Context) error
	// Rate bounds what is read, in bytes a second; default 32 MiB.
	Rate int64
	// IndexOnly reads the packs' indexes only, and takes the digests in them
	// for right.
	IndexOnly bool
	// Found is told what is wrong. Its error ends the check.
	Found func(Finding) error
}

// Checker compares packs in the store with the digests they carry and with the
// group's state. It changes nothing. One goroutine uses it.
type Checker struct {
	o Options
	// damaged are packs some of whose bodies were not found where the state
	// says: with them Bodies looks up which those are. A nil map means all.
	damaged map[command.PackID]map[command.BodyID]bool
	// needed are the bodies known to be bad that the state refers to, elsewhere
	// where packs say that some of them are.
	needed    []command.BodyID
	elsewhere map[command.BodyID]mailbox.PackPiece
	// some objects are missing or of another size, as a listing shows.
	some bool
}

// The most that a Checker remembers of what is wrong; a store in a worse state
// is better mended first.
const (
	maxDamagedPacks = 10_000
	maxBadBodies    = 200_000
)

// New makes a Checker.
func New(o Options) *Checker {
	if o.Rate <= 0 {
		o.Rate = 32 << 20
	}
	if o.Sync == nil {
		o.Sync = func(context.Context) error { return nil }
	}
	if o.Found == nil {
		o.Found = func(Finding) error { return nil }
	}
	return &Checker{o: o, damaged: map[command.PackID]map[command.BodyID]bool{}, elsewhere: map[command.BodyID]mailbox.PackPiece{}}
}

// maxWhole is the size in bytes up to which a pack is read at once.
const maxWhole = 16 << 20

// Pack checks one pack as the state knew it a moment ago and returns the bytes
// read. An error says that it could not be checked, KindUnavailable of the
// store mostly.
func (c *Checker) Pack(ctx context.Context, p mailbox.Pack) (read int64, err error) {
	if p.State == mailbox.PackDeleted {
		return 0, nil
	}
	began := time.Now()
	o, err := c.open(ctx, p)
	if rookery.Is(err, rookery.KindNotFound) {
		return 0, c.lost(ctx, p, FaultMissing, "there is no object "+pack.Key(c.o.Group, p.ID))
	}
	if err != nil {
		return 0, err
	}
	if err := c.compare(ctx, p, o); err != nil {
		return o.size, err
	}
	if c.o.IndexOnly {
		return int64(len(o.tail)), ctx.Err()
	}
	return o.size, pause(ctx, o.size, c.o.Rate, began)
}

// object is a pack's as it lies in the store.
type object struct {
	size       int64
	head, tail []byte
	digest     func(ctx context.Context, off, n int64) ([sha256.Size]byte, error)
}

// open reads a pack: a usual one whole, with one request, a large one by its
// ends.
func (c *Checker) open(ctx context.Context, p mailbox.Pack) (*object, error) {
	key := pack.Key(c.o.Group, p.ID)
	if p.Size <= maxWhole && !c.o.IndexOnly {
		r, err := c.o.Store.Get(ctx, key, 0, -1)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		b, err := io.ReadAll(io.LimitReader(r, p.Size+1)) // one more tells a longer object
		if err != nil {
			return nil, rookery.E("check pack", 0, err)
		}
		return &object{int64(len(b)), b, b, func(_ context.Context, off, n int64) ([sha256.Size]byte, error) {
			return sha256.Sum256(b[off : off+n]), nil
		}}, nil
	}
	info, err := c.o.Store.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	o := &object{size: info.Size, digest: func(ctx context.Context, off, n int64) ([sha256.Size]byte, error) {
		sum, _, err := pack.Digest(ctx, c.o.Store, key, off, n)
		return sum, err
	}}
	if o.head, err = pack.ReadRange(ctx, c.o.Store, key, 0, min(int64(pack.MaxHeader), o.size)); err == nil {
		o.tail, err = pack.ReadTail(ctx, c.o.Store, key, o.size)
	}
	return o, err
}

// compare looks for everything that can be wrong with a pack that is there.
func (c *Checker) compare(ctx context.Context, p mailbox.Pack, o *object) error {
	if o.size != p.Size {
		return c.lost(ctx, p, FaultSize, fmt.Sprintf("the object has %d bytes, the state says %d", o.size, p.Size))
	}
	start, err := c.header(p, o.head)
	if err != nil {
		if err := c.found(p, 0, FaultHeader, err.Error(), false); err != nil { // its bodies can be read
			return err
		}
	}
	entries, err := pack.ParseTail(o.tail, start, o.size)
	if err != nil {
		return c.lost(ctx, p, FaultFooter, err.Error())
	}
	placed, err := c.bodies(ctx, p, o, entries)
	if err != nil || len(placed) >= int(p.LiveBodies) {
		return err
	}
	return c.remember(p.ID, placed) // some live body is in no entry; or it went meanwhile
}

// header checks the beginning and gives where bodies may start.
func (c *Checker) header(p mailbox.Pack, head []byte) (start int64, err error) {
	group, id, n, err := pack.ParseHeader(head)
	if err == nil && (group != c.o.Group || id != p.ID) {
		err = notWhole("it says that it is pack %.128q of group %d", id, group)
	}
	if err != nil {
		return 0, err
	}
	return int64(n), nil
}

// bodies checks each body of the pack and returns those that lie where the
// state says.
func (c *Checker) bodies(ctx context.Context, p mailbox.Pack, o *object, entries []pack.Entry) (map[command.BodyID]bool, error) {
	placed := make(map[command.BodyID]bool, len(entries))
	for _, e := range entries {
		piece, needed, err := c.piece(p.ID, e.Body)
		if err != nil {
			return nil, err
		}
		sum := e.SHA256
		if !c.o.IndexOnly {
			if sum, err = o.digest(ctx, e.Off, e.Len); err != nil {
				return nil, err
			}
		}
		if needed {
			placed[e.Body] = true
		}
		switch {
		case sum != e.SHA256:
			err = c.found(p, e.Body, FaultDigest, fmt.Sprintf("the %d bytes at %d fail their SHA-256", e.Len, e.Off), needed)
		case needed && (piece.Off != e.Off || piece.Len != e.Len):
			c.elsewhere[e.Body] = placeOf(p.ID, e)
			err = c.found(p, e.Body, FaultPlace, fmt.Sprintf("the pack holds it at %d+%d, the state says %d+%d", e.Off, e.Len, piece.Off,
				piece.Len), true)
		}
		if err != nil {
			return nil, err
		}
	}
	return placed, nil
}

func placeOf(id command.PackID, e pack.Entry) mailbox.PackPiece {
	return mailbox.PackPiece{Pack: id, Off: e.Off, Len: e.Len}
}

// piece is where the state says that a body lies in a pack, if it says so.
func (c *Checker) piece(pack command.PackID, id command.BodyID) (mailbox.PackPiece, bool, error) {
	b, err := c.o.State.Body(id)
	if rookery.Is(err, rookery.KindNotFound) {
		return mailbox.PackPiece{}, false, nil
	}
	for _, q := range b.Pack {
		if q.Pack == pack {
			return q, true, err
		}
	}
	return mailbox.PackPiece{}, false, err
}

// lost reports a pack none of whose bodies can be relied on.
func (c *Checker) lost(ctx context.Context, p mailbox.Pack, f Fault, detail string) error {
	if err := c.o.Sync(ctx); err != nil {
		return err
	}
	now, err := c.record(p.ID)
	if err != nil || now == nil {
		return err // it was cleared away meanwhile, as is right
	}
	if err := c.found(*now, 0, f, detail, now.LiveBodies > 0); err != nil || now.LiveBodies == 0 {
		return err
	}
	return c.remember(p.ID, nil)
}

// record is a pack's as it is now, nil if its object may be gone.
func (c *Checker) record(id command.PackID) (*mailbox.Pack, error) {
	p, err := c.o.State.Pack(id)
	if rookery.Is(err, rookery.KindNotFound) || err == nil && p.State == mailbox.PackDeleted {
		return nil, nil
	}
	return &p, err
}

func (c *Checker) remember(id command.PackID, placed map[command.BodyID]bool) error {
	if len(c.damaged) == maxDamagedPacks {
		return rookery.E("check packs", rookery.KindLimit,
			fmt.Errorf("more than %d packs of group %d are damaged: find out what befell the store first", maxDamagedPacks, c.o.Group))
	}
	c.damaged[id] = placed
	return nil
}

func (c *Checker) found(p mailbox.Pack, id command.BodyID, f Fault, detail string, needed bool) error {
	if id != 0 && needed && f != FaultRecord { // the state itself is at fault there
		if len(c.needed) >= maxBadBodies {
			return rookery.E("check packs", rookery.KindLimit,
				fmt.Errorf("more than %d bodies of group %d are damaged: find out what befell the store first", maxBadBodies, c.o.Group))
		}
		c.needed = append(c.needed, id)
	}
	return c.o.Found(Finding{c.o.Group, p.ID, id, f, detail, needed})
}

// Bodies looks through the state's bodies for those of packs that were found
// damaged, and for those that point into no pack at all. It is needed only
// where Suspicious says so, and after a check of every pack.
func (c *Checker) Bodies(ctx context.Context) error {
	for from := command.BodyID(0); ; {
		bodies, err := c.o.State.Bodies(from, rowsAtOnce)
		if err != nil {
			return err
		}
		for _, b := range bodies {
			from = b.ID + 1
			if err := c.body(b); err != nil {
				return err
			}
		}
		if len(bodies) < rowsAtOnce || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (c *Checker) body(b mailbox.Body) error {
	for _, q := range b.Pack {
		placed, damaged := c.damaged[q.Pack]
		if damaged && !placed[b.ID] {
			return c.astray(b, q, FaultPlace, "it cannot be found in its pack")
		}
		if damaged {
			continue
		}
		p, err := c.record(q.Pack)
		if err != nil {
			return err
		}
		if p == nil {
			return c.astray(b, q, FaultRecord, "the state holds no such pack")
		}
	}
	return nil
}

// astray reports a body, unless it moved meanwhile.
func (c *Checker) astray(b mailbox.Body, q mailbox.PackPiece, f Fault, detail string) error {
	now, needed, err := c.piece(q.Pack, b.ID)
	if err != nil || !needed || now != q {
		return err
	}
	return c.found(mailbox.Pack{ID: q.Pack}, b.ID, f, detail, true)
}

// Suspicious says whether packs are damaged whose bodies only Bodies can name.
func (c *Checker) Suspicious() bool { return len(c.damaged) > 0 }

// Needed are the bodies found bad that mail needs, in the order found.
func (c *Checker) Needed() []command.BodyID { return c.needed }

// Elsewhere is where a pack says that a body lies, in place of where the state
// says.
func (c *Checker) Elsewhere(id command.BodyID) (mailbox.PackPiece, bool) {
	q, ok := c.elsewhere[id]
	return q, ok
}

// pause keeps the mean rate of what began then below a bound.
func pause(ctx context.Context, n, rate int64, began time.Time) error {
	left := time.Duration(float64(n)/float64(rate)*float64(time.Second)) - time.Since(began)
	if left <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// rowsAtOnce is how many rows one view of the state is asked for.
const rowsAtOnce = 512

func notWhole(format string, args ...any) error {
	return rookery.E("check pack", rookery.KindDamaged, fmt.Errorf(format, args...))
}
