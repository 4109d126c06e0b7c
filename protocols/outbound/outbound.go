// Package outbound brings mail to other systems. The leader of each group works
// on what the group's queue owes to them: it finds the next hop, is given rows by
// the log, sends, and records what became of them. It owns routes, the couriers
// and how many of them work for a destination, the schedule of attempts, and the
// word on whether a failure is final; then the sender is told.
//
// It never accepts mail, never writes the queue's tables, and never lets the
// failure of a configured route, or of our own parts, end a message: a doubtful
// outcome is tried again.
package outbound

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
)

// Log has a group agree on commands, and waits until this node knows of all that
// was agreed on before; account.Log does.
type Log interface {
	Apply(ctx context.Context, group rookery.GroupID, cmd []byte) (rookery.LogIndex, []byte, error)
	Barrier(ctx context.Context, group rookery.GroupID) error
	Wait(ctx context.Context, group rookery.GroupID, index rookery.LogIndex) error
}

// Days opens the keys of days; daykey.Store does.
type Days interface {
	Open(ctx context.Context, group rookery.GroupID, day keys.Day) (*keys.DayKey, error)
}

// Connector opens sessions with next hops. The error of a next hop that takes no
// mail, now or ever, is KindDenied or KindNotFound; every other is temporary.
type Connector interface {
	Open(ctx context.Context, hop Hop) (*Connection, error)
}

// Filer accepts messages; delivery.Deliverer does.
type Filer interface {
	Spool(lines spool.Lines, limit int64) *spool.Spool
	Deliver(ctx context.Context, r delivery.Request) error
}

// Router says where mail for an address goes; delivery.Router does.
type Router interface {
	Route(ctx context.Context, addr rookery.Address) (delivery.Route, error)
}

// Senders knows how the accounts stand that have sent what is owed.
type Senders interface {
	// Disabled reports whether an account is known as disabled, or is gone.
	Disabled(ctx context.Context, account rookery.AccountID) bool
	// Address is where an account gets mail today that has sent as an address.
	// KindNotFound: there is no such account any more, or it has no owner.
	Address(ctx context.Context, account rookery.AccountID, was rookery.Address) (rookery.Address, error)
}

// Options are what Couriers are made of. All but Senders, Logger, Clock and
// Observe are required.
type Options struct {
	// Self is this life of this node.
	Self command.Courier
	// Hostname names this system to peers and in notifications.
	Hostname string
	// Groups are the mail groups, Machine gives a group's machine (nil: no
	// replica here), Leader reports whether this node leads a group.
	Groups  func() []rookery.GroupID
	Machine func(rookery.GroupID) *mailbox.Machine
	Leader  func(rookery.GroupID) bool
	// Gone reports whether a courier's life is known to be over.
	Gone func(command.Courier) bool
	Log  Log
	Days Days
	// Bodies opens a stored body.
	Bodies func(group rookery.GroupID, b mailbox.Body) body.Source
	// Settings are those in force, asked for with every attempt.
	Settings func() Settings
	Connect  Connector
	// Filer and Router bring notifications to senders.
	Filer  Filer
	Router Router
	// Senders; nil knows of no account.
	Senders Senders
	// Postmaster is the address that notifications come from; zero is
	// postmaster at Hostname.
	Postmaster func() rookery.Address
	Logger     *slog.Logger
	Clock      func() time.Time
	// Observe hears how each attempt at a recipient ended: "sent", "deferred" or
	// "failed".
	Observe func(outcome string)
}

// Couriers send what is owed to other systems. All methods may be called
// concurrently.
type Couriers struct {
	o       Options
	pending *pending
	brake   brake
	wg      sync.WaitGroup

	mu       sync.Mutex
	settlers map[rookery.GroupID]*settler
	sure     map[rookery.GroupID]time.Time // when a barrier last passed
	cursors  map[rookery.GroupID]*cursor
}

// New makes Couriers. It does no I/O.
func New(o Options) *Couriers {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Observe == nil {
		o.Observe = func(string) {}
	}
	return &Couriers{o: o, pending: newPending(), settlers: map[rookery.GroupID]*settler{}, sure: map[rookery.GroupID]time.Time{},
		cursors: map[rookery.GroupID]*cursor{}}
}

// lookEvery is how often due rows are looked for without being told.
const lookEvery = time.Second

// Run sends until ctx ends, and then waits for what is under way.
func (c *Couriers) Run(ctx context.Context) error {
	defer c.wg.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	looking := make(chan struct{}, 1) // one look at a time, beside the dispatching
	look := func() {
		select {
		case looking <- struct{}{}:
			c.wg.Go(func() {
				c.look(ctx)
				<-looking
				c.pending.wake()
			})
		default:
		}
	}
	look()
	for {
		for _, x := range c.pending.told() {
			if c.o.Leader(x.group) {
				c.sort(ctx, x.group, x.rows)
			}
		}
		for _, d := range c.pending.start(c.o.Settings().Connections) {
			c.wg.Go(func() { c.work(ctx, d) })
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.pending.woken:
		case <-tick.C:
			look()
		}
	}
}
