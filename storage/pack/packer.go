package pack

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/holds"
	"rookery/storage/mailbox"
)

// Source is what the Packer reads of a group's state; *mailbox.Machine is one.
type Source interface {
	Unpacked(from command.BodyID, limit int) ([]mailbox.Body, error)
	Packs(after command.PackID, limit int) ([]mailbox.Pack, error)
	Body(id command.BodyID) (mailbox.Body, error)
	PackRules() (holds.Rules, error)
}

// Options are what a Packer works with. Group, Source, Log, Store and Propose
// are required.
type Options struct {
	Group  rookery.GroupID
	Source Source
	// Log reads what passes the log's own check: a pack gives what it got a
	// digest, and the log then lets go of it everywhere.
	Log   LogReader
	Store blob.Store
	// Propose has the group agree on a command and returns when it is applied
	// on this node, or with the machine's refusal (its kind). Proposing the
	// same Packed again after a doubtful outcome answers KindExists.
	Propose func(ctx context.Context, group rookery.GroupID, c command.Command) error
	// Packed is called each time bodies were packed, and at the start: the
	// log's floor may have moved (see Floor).
	Packed func()
	// Clock names packs and tells their age: group time or later, so that no
	// name is old from the beginning. Default time.Now.
	Clock func() time.Time
	// Age is what time it is for whatever decides by age; an error has that
	// wait. nil: Clock.
	Age func() (time.Time, error)
	// NameLife is how long the group is to take a pack's name for good, which
	// the Packer has it agree on once, 24 h.
	NameLife time.Duration
	// Repack says which packs are rewritten, Budget how fast; without either
	// none is.
	Repack func() Repack
	Budget *Budget
	// Deletable says whether no reader needs a dead pack any more and the
	// group would let it go. Nil, false and an error keep it: this fails closed.
	Deletable func(ctx context.Context, p mailbox.Pack) (bool, error)

	MaxPack int64         // bytes at which a pack is sealed, 8 MiB
	MaxAge  time.Duration // age of the oldest body at which it is sealed, 8 s
	// Soon says that somebody waits for bodies to be packed: a pack is sealed at half
	// that age. nil: nobody does.
	Soon  func() bool
	Large int64 // bytes above which a body gets an object of its own, 4 MiB
	// Rate bounds the work in bytes a second, so that draining after an outage
	// leaves disk and network to live mail; default 32 MiB.
	Rate int64
	// SweepEvery is the pause between looks for dead packs and for bodies that
	// could not be read, 1 min.
	SweepEvery time.Duration
	// Patience is how long a request to the store may take beside its bytes at
	// 64 KiB/s, 2 min. Then it counts as failed.
	Patience time.Duration
	// RetryMin and RetryMax bound the pauses after failures, 0.25 s and 15 s.
	RetryMin, RetryMax time.Duration
	Logger             *slog.Logger
}

func (o *Options) setDefaults() {
	size := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	size(&o.MaxPack, 8<<20)
	size(&o.Large, 4<<20)
	size(&o.Rate, 32<<20)
	span(&o.MaxAge, 8*time.Second)
	span(&o.SweepEvery, time.Minute)
	span(&o.Patience, 2*time.Minute)
	span(&o.RetryMin, 250*time.Millisecond)
	span(&o.RetryMax, 15*time.Second)
	span(&o.NameLife, 24*time.Hour)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Age == nil {
		o.Age = func() (time.Time, error) { return o.Clock(), nil }
	}
	if o.Packed == nil {
		o.Packed = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Packer moves one group's bodies from the log into the object store. Run it
// while this node leads the group. A crash or a lost leadership at any step
// leaves at most an object nobody points to.
type Packer struct {
	o       Options
	pending atomic.Int64
	arrived chan struct{} // something waits
	full    chan struct{} // a whole pack waits

	mu       sync.Mutex
	stats    Stats
	failedAt time.Time // when the store or the group last failed

	// What follows belongs to Run.
	unreadable map[command.BodyID]bool // left out until the next sweep
	gone       map[command.PackID]bool // deleted packs whose objects are known to be gone
	shunned    map[command.PackID]bool // packs that cannot be rewritten
	chores     *chores                 // packs to rewrite
	due        []mailbox.Pack          // those that come next
	swept      time.Time
	took       time.Duration // the last sweep
}

// Stats say how the Packer fares.
type Stats struct {
	Packs, Bodies uint64
	Bytes         int64
	Failures      uint64 // of the store or the group, each repeated
	// Rewritten counts old packs whose bodies were moved, RewrittenBytes the
	// bytes of the new ones; Deleted the packs whose objects are gone.
	Rewritten      uint64
	RewrittenBytes int64
	Deleted        uint64
	Unreadable     int       // bodies the log cannot give
	LastError      string    // of the packing, "" while all goes well
	Setback        string    // of the clearing away and rewriting, "" while all goes well
	Failing        time.Time // since when packing does not go well
}

// NewPacker makes a Packer.
func NewPacker(o Options) *Packer {
	o.setDefaults()
	return &Packer{o: o, arrived: make(chan struct{}, 1), full: make(chan struct{}, 1), unreadable: map[command.BodyID]bool{},
		gone: map[command.PackID]bool{}, shunned: map[command.PackID]bool{}}
}

// Unpacked tells the Packer of a body that waits, as mailbox.Events does. It
// never blocks and may be called whether or not Run is running.
func (p *Packer) Unpacked(bytes int64) {
	if p.pending.Add(bytes) >= p.o.MaxPack {
		signal(p.full)
	}
	signal(p.arrived)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stats gives a copy.
func (p *Packer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Run packs until ctx ends: first what waits already, then whenever a pack is
// full or its oldest body has the age. In between it clears away dead packs and
// rewrites worn ones. It waits out failures by itself, for as long as they
// last. At most one Run at a time.
func (p *Packer) Run(ctx context.Context) {
	p.o.Packed()
	p.swept, p.chores, p.due = time.Time{}, nil, nil
	clear(p.gone) // another leader may have gone on meanwhile
	clear(p.shunned)
	for ctx.Err() == nil {
		p.drain(ctx)
		if time.Since(p.swept) >= p.sweepPause() {
			p.sweep(ctx)
		}
		p.wait(ctx, min(p.repack(ctx), p.sweepPause()))
	}
}

// sweepPause keeps sweeps of very many packs to a hundredth of the time.
func (p *Packer) sweepPause() time.Duration { return max(p.o.SweepEvery, 100*p.took) }

// wait returns when a pack is due or there is something else to do.
func (p *Packer) wait(ctx context.Context, pause time.Duration) {
	other := time.NewTimer(pause)
	defer other.Stop()
	select {
	case <-ctx.Done():
		return
	case <-other.C:
		return
	case <-p.arrived:
	}
	most := p.o.MaxAge
	if p.o.Soon != nil && p.o.Soon() {
		most /= 2
	}
	age := time.NewTimer(most)
	defer age.Stop()
	select {
	case <-ctx.Done():
	case <-age.C:
	case <-p.full:
	}
}

// drain packs what waits, oldest first, down to one last pack that may be
// short.
func (p *Packer) drain(ctx context.Context) {
	p.pending.Store(0)
	select {
	case <-p.full:
	default:
	}
	for ctx.Err() == nil {
		batch, more, err := p.next()
		if err != nil {
			p.failed("cannot list the bodies to pack", err)
			return // the sweep tries again
		}
		if len(batch) == 0 {
			return
		}
		began := time.Now()
		n, ok := p.seal(ctx, batch)
		if ok {
			p.o.Packed()
		}
		if !more {
			return
		}
		p.pace(ctx, n, began)
	}
}

// pace keeps the mean rate below the bound.
func (p *Packer) pace(ctx context.Context, n int64, began time.Time) {
	pause := time.Duration(float64(n)/float64(p.o.Rate)*float64(time.Second)) - time.Since(began)
	if pause <= 0 {
		return
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

const page = 512

// next picks the bodies of the next pack: the oldest if it is large, else small
// ones in order up to the size of a pack. more says that others may wait.
func (p *Packer) next() (batch []mailbox.Body, more bool, err error) {
	var sum int64
	for from := command.BodyID(0); ; {
		bodies, err := p.o.Source.Unpacked(from, page)
		if err != nil {
			return nil, false, err
		}
		for _, b := range bodies {
			from = b.ID + 1
			switch {
			case p.unreadable[b.ID]:
			case b.Encoded > p.o.Large && len(batch) == 0:
				return []mailbox.Body{b}, true, nil
			case b.Encoded > p.o.Large:
				more = true // its turn comes when it is the oldest
			case sum+b.Encoded > p.o.MaxPack && len(batch) > 0, len(batch) == MaxBodies/4:
				return batch, true, nil
			default:
				batch, sum = append(batch, b), sum+b.Encoded
			}
		}
		if len(bodies) < page {
			return batch, more, nil
		}
	}
}

func (p *Packer) failed(what string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Failures++
	p.failedAt = time.Now()
	text := what + ": " + err.Error()
	if p.stats.LastError == "" {
		p.stats.Failing = time.Now()
		p.o.Logger.Warn("packing waits: "+what, "group", p.o.Group, "error", err)
	} else {
		p.o.Logger.Debug("packing still waits: "+what, "group", p.o.Group, "error", err)
	}
	p.stats.LastError = text
}

// setback is a failure of the clearing away or the rewriting: live mail does
// not wait for it, and it is tried again later.
func (p *Packer) setback(what string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Failures++
	p.failedAt = time.Now()
	level := slog.LevelWarn
	if p.stats.Setback != "" {
		level = slog.LevelDebug
	}
	p.stats.Setback = what + ": " + err.Error()
	p.o.Logger.Log(context.Background(), level, "trying again later: "+what, "group", p.o.Group, "error", err)
}

func (p *Packer) recovered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stats.LastError != "" {
		p.o.Logger.Info("packing goes on", "group", p.o.Group, "failures", p.stats.Failures)
	}
	p.stats.LastError = ""
}
