package outbound

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/propose"
	"rookery/storage/queue"
)

var errLeft = errors.New("the group has left this node")

// asDamage keeps "not found" for rows that have ended: a key that is missing is
// something else.
func asDamage(err error) error {
	if rookery.Is(err, rookery.KindNotFound) {
		return rookery.E("open key of a day", rookery.KindDamaged, err)
	}
	return err
}

func itemID(id command.ItemID) string { return hex.EncodeToString(id[:]) }

// settler records results in one group: what has gathered while one command is on
// its way goes in the next.
type settler struct {
	c     *Couriers
	group rookery.GroupID

	mu      sync.Mutex
	waiting []command.AttemptEnd
	running bool
}

// settle records how attempts ended, and lets go of their rows once it is
// recorded. It does not wait for that.
func (c *Couriers) settle(ctx context.Context, group rookery.GroupID, ends ...command.AttemptEnd) {
	c.mu.Lock()
	s := c.settlers[group]
	if s == nil {
		s = &settler{c: c, group: group}
		c.settlers[group] = s
	}
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, ends...)
	if !s.running && len(s.waiting) > 0 {
		s.running = true
		c.wg.Go(func() { s.run(ctx) })
	}
}

// next gives the next command's results; none ends the run.
func (s *settler) next() []command.AttemptEnd {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), command.MaxRows)
	if n == 0 {
		s.waiting, s.running = nil, false
		return nil
	}
	batch := s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	return batch
}

// How long the recording of results goes on when a node stops, and how soon it is
// tried again where the group does not answer.
const (
	settleOn    = 5 * time.Second
	settleAgain = time.Second
)

func (s *settler) run(ctx context.Context) {
	for batch := s.next(); len(batch) > 0; batch = s.next() {
		s.record(ctx, batch)
		refs := make([]queue.Ref, len(batch))
		for i := range batch {
			refs[i] = batch[i].Row
		}
		s.c.pending.forget(s.group, refs)
	}
}

// record proposes results until the group has them, or this node stops.
func (s *settler) record(ctx context.Context, batch []command.AttemptEnd) {
	for {
		err := s.propose(ctx, batch)
		if err == nil {
			return
		}
		s.c.o.Logger.Warn("outbound: results are not recorded yet; trying again", "group", s.group, "results", len(batch), "error", err)
		t := time.NewTimer(settleAgain)
		select {
		case <-ctx.Done():
			t.Stop()
			return // the next courier finds out
		case <-t.C:
		}
	}
}

func (s *settler) propose(ctx context.Context, batch []command.AttemptEnd) error {
	// What a peer has taken is recorded also while this node stops.
	ctx, cancel := graceful(ctx, settleOn)
	defer cancel()
	_, _, err := propose.Command(ctx, s.c.o.Log, s.group, &command.EndAttempts{By: s.c.o.Self, Rows: batch})
	return err
}

// graceful is a context that ends a while after its parent.
func graceful(parent context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		t := time.AfterFunc(after, cancel)
		context.AfterFunc(ctx, func() { t.Stop() })
	})
	return ctx, func() { stop(); cancel() }
}

// begin asks the log for rows, held ones too where an administrator wants them,
// and gives those that this courier has now. What was scheduled by accounts that are
// disabled by now is held instead.
func (c *Couriers) begin(ctx context.Context, group rookery.GroupID, refs []queue.Ref, held bool) (map[queue.Ref]bool, error) {
	cmd := &command.BeginAttempts{By: c.o.Self, Held: held}
	stop := stops{c: c, asked: map[rookery.AccountID]bool{}}
	seen := map[command.Courier]bool{}
	for _, x := range refs {
		l, err := c.load(ctx, group, x)
		if err == nil && l.row.Taken() && l.row.By != c.o.Self && !seen[l.row.By] && c.o.Gone(l.row.By) {
			seen[l.row.By] = true
			cmd.Gone = append(cmd.Gone, l.row.By)
		}
		if err != nil || held || !stop.wants(ctx, &l) {
			cmd.Rows = append(cmd.Rows, x)
		}
	}
	if err := stop.propose(ctx, group); err != nil {
		return nil, err
	}
	if len(cmd.Rows) == 0 {
		return nil, nil
	}
	r, index, err := propose.As[*command.RowsResult](ctx, c.o.Log, group, cmd)
	if err != nil {
		return nil, err
	}
	if len(r.Done) != len(cmd.Rows) {
		return nil, rookery.E("begin attempts", rookery.KindDamaged, fmt.Errorf("%d rows have %d results", len(cmd.Rows), len(r.Done)))
	}
	given := map[queue.Ref]bool{}
	for i, x := range cmd.Rows {
		given[x] = r.Done[i]
	}
	// What is read of them from here on is not from before.
	return given, c.o.Log.Wait(ctx, group, index)
}

// surely bounds how old the read barrier is that says a row is still ours.
const surely = time.Second

// stillOurs makes sure, before the peer can have the message, that this courier
// has all of a parcel's rows still.
func (c *Couriers) stillOurs(ctx context.Context, p parcel) error {
	now := c.o.Clock()
	c.mu.Lock()
	at, ok := c.sure[p.group]
	c.mu.Unlock()
	if !ok || now.Sub(at) > surely || now.Before(at) {
		if err := c.o.Log.Barrier(ctx, p.group); err != nil {
			return err
		}
		c.mu.Lock()
		c.sure[p.group] = now
		c.mu.Unlock()
	}
	for _, n := range p.rows {
		l, err := c.load(ctx, p.group, queue.Ref{Item: p.item, N: n})
		if err != nil {
			return err
		}
		if l.row.By != c.o.Self {
			return rookery.E("send", rookery.KindConflict, errors.New("another courier has the message by now"))
		}
	}
	return nil
}
