package delivery

import (
	"context"
	"errors"
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/message"
	"rookery/storage/queue"
)

// RemoteRecipient is one envelope recipient in another system.
type RemoteRecipient struct {
	Address rookery.Address
	// NextHop is where the directory says that the mailbox is; "" is where the
	// domain's mail goes.
	NextHop string
	// Notify and Original are NOTIFY and ORCPT of RCPT (RFC 3461).
	Notify   []string
	Original string
	// Forwarded says that a mailbox here forwards to it, with From as the reverse path
	// instead of the message's.
	Forwarded bool
	From      string
}

// Days gives the keys of days; daykey.Store does.
type Days interface {
	Today(ctx context.Context, group rookery.GroupID) (keys.Day, *keys.DayKey, error)
}

// Limit bounds what a group owes to other systems; a 0 is no bound.
type Limit struct {
	Items uint64
	Bytes int64
}

// home is the group that accepts a message: the one of its sender where it owes
// something to other systems, so that what the sender may do is decided there. 0
// is any.
func (d *Deliverer) home(ctx context.Context, r *Request, groups []groupOf) (rookery.GroupID, error) {
	switch {
	case r.Tells != nil:
		return r.Group, nil
	case len(r.Remote) == 0 && r.Scheduled.IsZero():
		return 0, nil
	case r.Sender != rookery.AccountID{}:
		g, err := d.o.Accounts.Group(ctx, r.Sender)
		if err != nil {
			return 0, rookery.E("deliver", rookery.KindUnknown, err)
		}
		return g, nil
	case len(groups) > 0:
		return groups[0].group, nil
	}
	return d.anyGroup(), nil
}

// anyGroup is a group for a message that nobody here gets: one that is led here
// where there is one.
func (d *Deliverer) anyGroup() rookery.GroupID {
	all := d.o.Groups()
	if i := slices.IndexFunc(all, func(g rookery.GroupID) bool { return d.o.Machine(g) != nil && d.o.Leader(g) }); i >= 0 {
		return all[i]
	}
	return all[0]
}

// homeFirst puts a group first, also where it has no recipient; 0 changes nothing.
func homeFirst(groups []groupOf, home rookery.GroupID) []groupOf {
	if home == 0 {
		return groups
	}
	first := groupOf{group: home}
	rest := slices.DeleteFunc(slices.Clone(groups), func(g groupOf) bool {
		if g.group == home {
			first = g
		}
		return g.group == home
	})
	return append([]groupOf{first}, rest...)
}

// outgoing is what goes to other systems of a message, and the key that seals it.
type outgoing struct {
	r     *Request
	day   keys.Day
	key   *keys.DayKey
	limit Limit
	rates func(domain string) command.Rate
}

// outgoing gets what it takes to owe a message to other systems.
func (d *Deliverer) outgoing(ctx context.Context, home rookery.GroupID, r *Request) (*outgoing, error) {
	o := &outgoing{r: r, rates: d.o.Rate}
	if !o.remote() && !o.scheduled() {
		return o, nil
	}
	if len(r.Remote)+len(r.Recipients) > MaxRecipients {
		return nil, rookery.E("deliver", rookery.KindLimit, errTooMany)
	}
	if d.o.Days == nil {
		return nil, rookery.E("deliver", rookery.KindUnavailable, errors.New("nothing is sent to other systems here"))
	}
	if d.o.QueueLimit != nil {
		o.limit = d.o.QueueLimit()
	}
	var err error
	o.day, o.key, err = d.o.Days.Today(ctx, home)
	return o, err
}

func (o *outgoing) remote() bool { return len(o.r.Remote) > 0 }

// add puts the recipients in other systems into an item, and what its rows are
// sealed under.
func (o *outgoing) add(item *command.Item, email rookery.EmailID, key keys.MessageKey, x *message.Extract) {
	if !o.remote() && !o.scheduled() {
		return
	}
	r := o.r
	o.schedule(item)
	if o.remote() {
		o.rate(item)
	}
	item.Day, item.Key, item.Account = uint32(o.day), o.key.WrapMessage(email, key), r.Sender
	item.MostItems, item.MostBytes = o.limit.Items, o.limit.Bytes
	item.Envelope = queue.SealEnvelope(o.key, item.ID, &queue.Envelope{
		From: r.From, EnvelopeID: r.EnvelopeID, Return: r.Return, UTF8: r.UTF8, ID: r.ID, MessageID: x.MessageID})
	for i := range r.Remote {
		to := &r.Remote[i]
		ref := queue.Ref{Item: item.ID, N: uint32(len(item.Rows))}
		item.Rows = append(item.Rows, command.ItemRow{Kind: command.ToRemote, Recipient: queue.SealRecipient(o.key, ref, &queue.Recipient{
			Address: to.Address.String(), NextHop: to.NextHop, Notify: to.Notify, Original: to.Original,
			Forwarded: to.Forwarded, From: to.From})})
	}
}
