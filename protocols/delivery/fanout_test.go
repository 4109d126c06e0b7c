package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/storage/account"
	"rookery/storage/account/accounttest"
	"rookery/storage/command"
	"rookery/storage/queue"
)

// party are deliverers of several nodes over one log, of which one leads.
type party struct {
	*rig
	leader atomic.Int32
	nodes  []*delivery.Deliverer
}

// newParty makes nodes that only what they are told makes file anything: they
// never look by themselves.
func newParty(t *testing.T, nodes int, o accounttest.Options) *party {
	p := &party{}
	o.Queued = func(g rookery.GroupID, rows []queue.Due) {
		for _, d := range p.nodes {
			d.Queued(g, rows)
		}
	}
	p.rig = newRig(t, o, nil)
	for i := range nodes {
		d := delivery.New(delivery.Options{Accounts: p.n.Store, Log: p.n, Machine: p.n.Machine, ReadBody: p.n.Bodies.ReadAt,
			Groups: func() []rookery.GroupID { return p.n.Groups }, Node: rookery.NodeID(fmt.Sprint("p", i)), Epoch: 1,
			Leader: func(rookery.GroupID) bool { return p.leader.Load() == int32(i) }})
		d.Sluggish()
		p.nodes = append(p.nodes, d)
	}
	return p
}

// The leader of the first group files what another node has delivered, as soon
// as it is agreed on.
func TestTheLeaderFilesAtOnce(t *testing.T) {
	p := newParty(t, 3, accounttest.Options{Groups: []rookery.GroupID{2, 3, 4}})
	p.leader.Store(2)
	run(t, p.nodes...)
	all := []*account.Account{p.account(2), p.account(3), p.account(4)}
	if err := p.deliver(t.Context(), small, all...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the fan-out", func() bool { return p.owed() == 0 })
	for _, a := range all {
		p.wantInbox(a, "Received: from here\r\n"+small)
	}
	p.clean()
}

// The lead goes over while the former leader is at it: the next one files the
// message, and what the former sends late is filed by nobody.
func TestTheNextLeaderGoesOn(t *testing.T) {
	var p *party
	held, release := make(chan struct{}), make(chan struct{})
	once, let := sync.Once{}, sync.OnceFunc(func() { close(release) })
	defer let()
	before := func(_ rookery.GroupID, c command.Command) error {
		if d, ok := c.(*command.Deliver); ok && d.FromItem != nil {
			mine := false
			once.Do(func() { mine = true })
			if mine {
				close(held)
				<-release
			}
		}
		return nil
	}
	p = newParty(t, 2, accounttest.Options{Before: before})
	stop := run(t, p.nodes...)
	a, b := p.account(2), p.account(3)
	if err := p.deliver(t.Context(), small, a, b); err != nil {
		t.Fatal(err)
	}
	<-held
	p.leader.Store(1)
	p.nodes[1].Led(2)
	eventually(t, "the fan-out", func() bool { return p.owed() == 0 })
	let()
	stop()
	p.wantInbox(b, "Received: from here\r\n"+small)
	p.clean()
}

// A group that takes nothing holds up nothing for the others, of the same
// message or of later ones.
func TestOneGroupHoldsUpNoOther(t *testing.T) {
	var calm atomic.Bool
	before := func(g rookery.GroupID, c command.Command) error {
		if d, ok := c.(*command.Deliver); ok && d.FromItem != nil && g == 3 && !calm.Load() {
			return rookery.E("trouble", rookery.KindUnavailable, errors.New("the group has no leader"))
		}
		return nil
	}
	p := newParty(t, 1, accounttest.Options{Groups: []rookery.GroupID{2, 3, 4}, Before: before})
	run(t, p.nodes...)
	all := []*account.Account{p.account(2), p.account(3), p.account(4)}
	const many = 40
	for range many {
		if err := p.deliver(t.Context(), small, all...); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the fan-out to the group that answers", func() bool { return len(p.inbox(all[2])) == many })
	p.wantInbox(all[1])
	calm.Store(true)
	run(t, p.other())
	eventually(t, "the rest of the fan-out", func() bool { return p.owed() == 0 })
	if n := len(p.inbox(all[1])); n != many {
		t.Errorf("%d messages, want %d", n, many)
	}
	p.clean()
}

// What a node sends that slept over the end of the item and of its marks is
// refused.
func TestLateFilingIsRefused(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	var late atomic.Pointer[command.Deliver]
	seen := func(_ rookery.GroupID, c command.Command) error {
		if d, ok := c.(*command.Deliver); ok && d.FromItem != nil {
			late.Store(d)
		}
		return nil
	}
	r := newRig(t, accounttest.Options{Clock: clock, Before: seen}, func(o *delivery.Options) { o.Clock = clock })
	r.d.Hurry(time.Hour)
	a, b := r.account(2), r.account(3)
	stop := run(t, r.d)
	if err := r.deliver(t.Context(), small, a, b); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the fan-out", func() bool { return r.owed() == 0 })
	d := late.Load()
	if d == nil || d.Until == 0 || time.Unix(0, d.Until).Sub(clock()) > time.Hour/2 {
		t.Fatalf("%+v: the marks may go before it is late", d)
	}
	if err := r.n.Propose(t.Context(), 3, d); err != nil {
		t.Fatal("sent again while the mark stands:", err)
	}
	eventually(t, "the end of the marks", func() bool {
		now.Add(int64(time.Hour))
		ids, _ := r.n.Machine(3).Filed(command.ItemID{}, 9)
		return len(ids) == 0
	})
	stop()
	if err := r.n.Propose(context.Background(), 3, d); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("after the mark is gone: %v", err)
	}
	r.wantInbox(b, "Received: from here\r\n"+small)
}

// A group's clock may be ahead of its leader's: what it owes is due all the same.
func TestRowsAreDueByTheGroupsClock(t *testing.T) {
	ahead := func() time.Time { return time.Now().Add(time.Hour) }
	r := newRig(t, accounttest.Options{Clock: ahead}, nil)
	r.d.Hurry(time.Hour)
	a, b := r.account(2), r.account(3)
	if err := r.deliver(t.Context(), small, a, b); err != nil {
		t.Fatal(err)
	}
	run(t, r.d)
	eventually(t, "the fan-out", func() bool { return r.owed() == 0 })
	r.wantInbox(b, "Received: from here\r\n"+small)
}
