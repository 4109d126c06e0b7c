package node

import (
	"context"
	"errors"
	"sync/atomic"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/backups"
	"rookery/cmd/node/couriers"
	"rookery/cmd/node/directories"
	"rookery/cmd/node/edge"
	"rookery/cmd/node/elected"
	"rookery/cmd/node/members"
	"rookery/cmd/node/objects"
	"rookery/protocols/delivery"
	"rookery/storage/account"
	"rookery/storage/mailbox"
	"rookery/storage/queue"
	"rookery/storage/system/people"
)

// events passes on what the state machines report to whoever is open by then.
type events struct {
	registry atomic.Pointer[members.Registry]
	accounts atomic.Pointer[account.Store]
	objects  atomic.Pointer[objects.Service]
	edge     atomic.Pointer[edge.Edge]
	deliver  atomic.Pointer[delivery.Deliverer]
	couriers atomic.Pointer[couriers.Service]
	backups  atomic.Pointer[backups.Service]
	people   atomic.Pointer[directories.Directories]
	elected  atomic.Pointer[elected.Service]
}

// admit is the transport's JoinHandler.
func (e *events) admit(ctx context.Context, q transport.JoinRequest) (transport.JoinAnswer, error) {
	r := e.registry.Load()
	if r == nil {
		return transport.JoinAnswer{}, rookery.E("admit node", rookery.KindUnavailable, errors.New("this node is starting"))
	}
	return r.Admit(ctx, q)
}

// invited is whether the transport's joiner is one.
func (e *events) invited(t identity.Token) bool {
	r := e.registry.Load()
	return r != nil && r.Invited(t)
}

// erasing ends what is remembered of accounts whose erasure has begun.
func (e *events) erasing(ids []rookery.AccountID) {
	if a := e.accounts.Load(); a != nil {
		for _, id := range ids {
			a.Forget(id)
		}
	}
}

// keysMoved has accounts compared with the keys again.
func (e *events) keysMoved() {
	if a := e.accounts.Load(); a != nil {
		a.KeysChanged()
	}
}

// linked has accounts looked up by their directory entries again.
func (e *events) linked() {
	if a := e.accounts.Load(); a != nil {
		a.Linked()
	}
}

// peopleChanged has what is remembered of the copies of directories forgotten.
func (e *events) peopleChanged(t people.Touched) {
	if p := e.people.Load(); p != nil {
		p.Changed(t.Directory, t.Keys, t.Index, t.All)
	}
}

// led has deliveries to further groups looked through where this node leads.
func (e *events) led(id rookery.GroupID) {
	if d := e.deliver.Load(); d != nil {
		d.Led(id)
	}
}

// mailEvents are what one mail group's machine reports.
type mailEvents struct {
	node  *Node
	group rookery.GroupID
}

// Changed implements mailbox.Events: sessions wake.
func (e mailEvents) Changed(id rookery.AccountID, box rookery.MailboxID, modseq rookery.ModSeq) {
	if a := e.node.hears.accounts.Load(); a != nil {
		a.Changed(id, box, modseq)
	}
}

// Unpacked implements mailbox.Events: the group's packer has work. What is
// replayed before there is one it finds by itself.
func (e mailEvents) Unpacked(_ mailbox.BodyID, bytes int64) {
	if o := e.node.hears.objects.Load(); o != nil {
		o.Unpacked(e.group, bytes)
	}
}

// Queued implements mailbox.QueueEvents: the leader files and sends the message.
func (e mailEvents) Queued(rows []queue.Due) {
	if d := e.node.hears.deliver.Load(); d != nil {
		d.Queued(e.group, rows)
	}
	if c := e.node.hears.couriers.Load(); c != nil {
		c.Queued(e.group, rows)
	}
}

// KeyChanged implements mailbox.KeyEvents.
func (e mailEvents) KeyChanged(rookery.AccountID) { e.node.hears.keysMoved() }
