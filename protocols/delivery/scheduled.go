package delivery

import (
	"context"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/queue"
)

// MaxAhead is how far ahead a message may be scheduled.
const MaxAhead = 90 * 24 * time.Hour

// maxScheduled is how many messages of an account wait for their time at most.
const maxScheduled = 500

func (o *outgoing) scheduled() bool { return !o.r.Scheduled.IsZero() }

// schedule has an item wait until the sender's time.
func (o *outgoing) schedule(item *command.Item) {
	if o.scheduled() {
		item.Scheduled, item.MostScheduled = o.r.Scheduled.UnixNano(), maxScheduled
	}
}

// first names the accounts of a group in a scheduled item, which is about to get a
// row for them: by the first of them, and how many more there are.
func (o *outgoing) first(item *command.Item, g groupOf) []byte {
	if !o.scheduled() {
		return nil
	}
	ref := queue.Ref{Item: item.ID, N: uint32(len(item.Rows))}
	return queue.SealRecipient(o.key, ref, &queue.Recipient{Address: g.recipients[0].address, Others: uint32(len(g.recipients) - 1)})
}

// stop has a scheduled row held that is due now, where its sender's account is
// disabled: until an operator releases it.
func (d *Deliverer) stop(ctx context.Context, home rookery.GroupID, o *mailbox.Owed) (stopped bool, err error) {
	if d.o.Disabled == nil || o.Header.Scheduled == 0 || !o.Row.MayStop(o.Row.Due) || !d.o.Disabled(ctx, o.Header.Account) {
		return false, nil
	}
	d.o.Logger.Warn("scheduled mail is held: its sender's account is disabled or gone", "group", home, "account", o.Header.Account)
	_, _, err = d.apply(ctx, home, &command.SteerRows{How: command.StopRow, Rows: []queue.Ref{o.Ref}})
	return true, err
}
