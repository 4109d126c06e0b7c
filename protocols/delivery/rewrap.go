package delivery

import (
	"context"
	"sync"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/command"
)

// maxWraps bounds how often one Deliver is sent because account keys follow
// each other.
const maxWraps = 4

// rewrap wraps the key of a refused message anew for every account of the
// group whose own key is another one meanwhile, and reports whether there was
// any.
func (d *Deliverer) rewrap(ctx context.Context, group rookery.GroupID, cmd *command.Deliver) (changed bool) {
	if d.o.Machine(group) != nil {
		if err := d.o.Log.Barrier(ctx, group); err != nil {
			return false
		}
	}
	for i := range cmd.Deliveries {
		x := &cmd.Deliveries[i]
		a, err := d.o.Accounts.Open(ctx, x.Account)
		if err != nil {
			continue // the group answers for it
		}
		key, err := a.Rekey(ctx)
		if err != nil || key.Generation() == body.MessageKeyGeneration(x.WrappedKey) {
			continue
		}
		wrapped, err := key.Rewrap(cmd.Email, x.WrappedKey)
		if err != nil {
			d.o.Logger.Error("delivery: a message's key cannot be wrapped anew", "account", x.Account, "email", cmd.Email, "error", err)
			continue
		}
		x.WrappedKey, changed = wrapped, true
	}
	return changed
}

// flight counts the messages on their way, so that one can wait for those
// that began before a moment.
type flight struct {
	mu  sync.Mutex
	now *leg
}

// leg is the messages that began between two moments.
type leg struct {
	open  int
	ended bool          // no more begin
	done  chan struct{} // closed with the last, once ended
	prev  *leg          // older messages, nil when there are none
}

func (f *flight) begin() (end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == nil {
		f.now = &leg{done: make(chan struct{})}
	}
	l := f.now
	l.open++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		l.open--
		l.settle()
	}
}

func (l *leg) settle() {
	if l.ended && l.open == 0 {
		close(l.done)
	}
}

// Settle returns when every message whose delivery or append began before the
// call has been filed or given up. Messages that begin later are not waited
// for. The error is KindUnavailable: ctx ended first.
func (d *Deliverer) Settle(ctx context.Context) error {
	f := &d.flight
	f.mu.Lock()
	l := f.now
	if l == nil {
		f.mu.Unlock()
		return nil
	}
	next := &leg{done: make(chan struct{}), prev: l}
	f.now, l.ended = next, true
	l.settle()
	f.mu.Unlock()
	for l != nil {
		select {
		case <-l.done:
		case <-ctx.Done():
			return rookery.E("settle deliveries", rookery.KindUnavailable, ctx.Err())
		}
		f.mu.Lock()
		l = l.prev
		f.mu.Unlock()
	}
	f.mu.Lock()
	next.prev = nil
	f.mu.Unlock()
	return nil
}
