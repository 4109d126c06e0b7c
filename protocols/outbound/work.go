package outbound

import (
	"context"
	"time"

	"rookery"
	"rookery/protocols/outbound/tlspolicy"
	"rookery/storage/command"
	"rookery/storage/queue"
)

// work sends what waits for a destination, on one connection for as long as that
// holds, until nothing is left.
func (c *Couriers) work(ctx context.Context, d *destination) {
	defer c.pending.ended(d)
	w := &worker{c: c, d: d}
	defer w.hangUp(ctx)
	for ctx.Err() == nil {
		var batch []parcel
		if batch, w.hop = c.pending.take(d); len(batch) == 0 {
			return
		}
		w.carry(ctx, batch)
	}
}

// worker is one courier's connection to a destination.
type worker struct {
	c   *Couriers
	d   *destination
	hop Hop // as it was with the last batch
	// s is the connection, to reached.
	s       *Connection
	reached Hop
}

func (w *worker) hangUp(ctx context.Context) {
	if w.s != nil {
		w.s.Quit(context.WithoutCancel(ctx))
		w.s = nil
	}
}

// carry tries a batch of parcels of one group.
func (w *worker) carry(ctx context.Context, batch []parcel) {
	c, group := w.c, batch[0].group
	if why, down := c.pending.isDown(w.d, c.o.Clock()); down {
		batch = w.putOff(ctx, batch, why)
	}
	var refs []queue.Ref
	for _, p := range batch {
		refs = append(refs, p.refs()...)
	}
	if len(refs) == 0 {
		return
	}
	given, err := c.begin(ctx, group, refs, false)
	if err != nil {
		if ctx.Err() == nil {
			c.o.Logger.Warn("outbound: messages wait, since their group does not answer", "group", group, "rows", len(refs), "error", err)
		}
		c.pending.forget(group, refs) // they are found again
		return
	}
	for _, p := range batch {
		var lost []queue.Ref
		p, lost = p.only(given)
		c.pending.forget(group, lost)
		if len(p.rows) == 0 {
			continue
		}
		if ctx.Err() != nil {
			c.settle(ctx, group, p.untried()...)
			continue
		}
		w.conclude(ctx, p, w.deliver(ctx, p))
	}
}

// putOff puts off what waits behind an attempt that has just failed: it shares
// its outcome. What would end by it is given back, to be tried itself.
func (w *worker) putOff(ctx context.Context, batch []parcel, why queue.Heard) (old []parcel) {
	c, set := w.c, w.c.o.Settings()
	var ends []command.AttemptEnd
	for _, p := range batch {
		kept := parcel{group: p.group, item: p.item}
		for _, r := range c.each(ctx, p, result{heard: why, again: true}) {
			age, when := c.o.Clock().Sub(r.since()), set.schedule(r.l.address)
			if r.l.key == nil || age >= when.Expire || r.late(age, when.Notice) {
				kept.rows = append(kept.rows, r.l.N)
				continue
			}
			ends = append(ends, command.AttemptEnd{Row: r.l.Ref, Again: int64(when.again(r.l.row.Tries)),
				Last: queue.SealHeard(r.l.key, r.l.Ref, why)})
		}
		if len(kept.rows) > 0 {
			old = append(old, kept)
		}
	}
	if len(ends) > 0 {
		c.o.Logger.Info("messages put off: their next hop does not answer", "next_hop", w.hop.String(), "group", batch[0].group,
			"recipients", len(ends), "reply", why.Text)
		c.settle(ctx, batch[0].group, ends...)
	}
	return old
}

func (p parcel) refs() []queue.Ref {
	refs := make([]queue.Ref, len(p.rows))
	for i, n := range p.rows {
		refs[i] = queue.Ref{Item: p.item, N: n}
	}
	return refs
}

// only keeps the rows that this courier was given.
func (p parcel) only(given map[queue.Ref]bool) (kept parcel, lost []queue.Ref) {
	kept = parcel{group: p.group, item: p.item}
	for _, x := range p.refs() {
		if given[x] {
			kept.rows = append(kept.rows, x.N)
		} else {
			lost = append(lost, x)
		}
	}
	return kept, lost
}

// untried gives rows back.
func (p parcel) untried() []command.AttemptEnd {
	ends := make([]command.AttemptEnd, len(p.rows))
	for i, x := range p.refs() {
		ends[i] = command.AttemptEnd{Row: x, Untried: true}
	}
	return ends
}

// result is what became of one row.
type result struct {
	l     loaded
	heard queue.Heard
	// tls is how the connection was protected, or why there was none.
	tls tlspolicy.Verdict
	// sent says that the next hop has the message, knows that it tells of it
	// (RFC 3461); again that it is tried again; untried that nothing was tried.
	// None of them: it has failed for good.
	sent, knows, again, untried bool
}

// since is when the message was there to be sent.
func (r *result) since() time.Time { return time.Unix(0, r.l.header.Since(&r.l.row)) }

// sealed is what was heard, as the log takes it.
func (r *result) sealed() []byte {
	if r.l.key == nil {
		return nil
	}
	return queue.SealHeard(r.l.key, r.l.Ref, r.heard)
}

// each is the same result for all rows of a parcel that have not ended.
func (c *Couriers) each(ctx context.Context, p parcel, r result) (results []result) {
	for _, x := range p.refs() {
		l, err := c.load(ctx, p.group, x)
		if rookery.Is(err, rookery.KindNotFound) {
			c.pending.forget(p.group, []queue.Ref{x})
			continue
		}
		one := r
		one.l = l
		if err != nil {
			one = result{l: l, again: true, heard: c.local(err)}
			one.l.Ref = x
		}
		results = append(results, one)
	}
	return results
}

// local is what was heard where our own parts failed.
func (c *Couriers) local(err error) queue.Heard {
	return queue.Heard{Time: c.o.Clock().UnixNano(), Text: err.Error(), Local: true}
}

// shortest is the least wait for another attempt at rows that were not tried.
const shortest = time.Second

// conclude records results, and tells senders of those that are final.
func (w *worker) conclude(ctx context.Context, p parcel, results []result) {
	c, hop := w.c, w.hop
	set := c.o.Settings()
	now := c.o.Clock()
	var tell []result
	var ends []command.AttemptEnd
	for _, r := range results {
		end := command.AttemptEnd{Row: r.l.Ref, Last: r.sealed()}
		if r.sent || r.heard.Local {
			blamed := r.heard
			if r.sent {
				blamed = queue.Heard{}
			}
			c.pending.blame(w.d, blamed)
		}
		age, when := now.Sub(r.since()), set.schedule(r.l.address)
		if r.sent {
			c.brake.note(now, r.l.address, false)
		}
		switch {
		case r.untried:
			end.Untried, end.Again, end.Last = true, int64(shortest), nil
		case r.sent && r.succeeds():
			tell = append(tell, r)
			continue
		case r.sent:
			end.Done = true
		case r.again && (r.l.key == nil || age < when.Expire):
			end.Again = int64(when.again(r.l.row.Tries))
			if r.late(age, when.Notice) {
				c.notify(ctx, p, []result{r}, true)
			}
		default:
			if r.again && r.heard.Status != failedTLS {
				r.heard.Status = "4.4.7"
			}
			if !c.braked(r, now) {
				tell = append(tell, r)
				continue
			}
			end.Hold, end.Last = true, r.sealed()
		}
		ends = append(ends, end)
		c.log(p, hop, r, end)
	}
	c.settle(ctx, p.group, ends...)
	for _, some := range alike(tell) {
		for _, r := range some {
			c.log(p, hop, r, command.AttemptEnd{Done: true})
		}
		ends := c.notify(ctx, p, some, false)
		c.settle(ctx, p.group, ends...)
	}
}

// alike keeps failures and successes apart, each in the order of the rows.
func alike(all []result) [][]result {
	var failed, sent []result
	for _, r := range all {
		if r.sent {
			sent = append(sent, r)
		} else {
			failed = append(failed, r)
		}
	}
	var out [][]result
	for _, some := range [][]result{failed, sent} {
		for len(some) > 0 {
			n := min(len(some), maxParcel)
			out = append(out, some[:n])
			some = some[n:]
		}
	}
	return out
}

// log says what became of a row, once.
func (c *Couriers) log(p parcel, hop Hop, r result, end command.AttemptEnd) {
	outcome, level := "failed", c.o.Logger.Warn
	switch {
	case r.untried:
		return
	case r.sent:
		outcome, level = "sent", c.o.Logger.Info
	case !end.Done:
		outcome, level = "deferred", c.o.Logger.Info
	}
	c.o.Observe(outcome)
	args := []any{"group", p.group, "item", itemID(p.item), "row", r.l.N, "to", r.l.address, "next_hop", hop.String(), "host", r.heard.Host,
		"address", r.heard.Address, "stage", r.heard.Stage, "code", r.heard.Code, "reply", r.heard.Text, "tls", r.heard.TLS,
		"attempt", r.l.row.Tries + 1, "age", c.o.Clock().Sub(r.since()).Round(time.Millisecond)}
	if outcome == "deferred" {
		args = append(args, "again", time.Duration(end.Again).Round(time.Second))
	}
	level("message "+outcome, args...)
}
