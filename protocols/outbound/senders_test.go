package outbound_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/outbound"
	"rookery/storage/command"
)

// owners is what the directory says of all who send.
type owners struct {
	disabled atomic.Bool
	primary  rookery.Address
}

func (o *owners) Disabled(context.Context, rookery.AccountID) bool { return o.disabled.Load() }

func (o *owners) Address(_ context.Context, _ rookery.AccountID, was rookery.Address) (rookery.Address, error) {
	if o.primary == (rookery.Address{}) {
		return was, rookery.E("find account", rookery.KindNotFound, errors.New("it is gone"))
	}
	return o.primary, nil
}

// What a disabled account has scheduled is held when it is time, here and elsewhere,
// and other mail of it goes on; what is released then goes once.
func TestScheduledOfDisabledIsHeld(t *testing.T) {
	r := newScheduling(t)
	o := &owners{}
	r.o.Senders = o
	r.c = outbound.New(r.o)
	r.d = delivery.New(delivery.Options{Accounts: r.n.Store, Log: r.n, Machine: r.n.Machine, ReadBody: r.n.Bodies.ReadAt, Days: r.days,
		Groups: r.groups, Node: "n1", Epoch: 1, TempDir: t.TempDir(), Clock: r.clock,
		Disabled: func(ctx context.Context, id rookery.AccountID) bool { return o.Disabled(ctx, id) }})
	r.schedule(time.Hour)
	o.disabled.Store(true)
	r.send("anna@example.com", "now@far.example")
	r.pass(time.Hour)
	stop := r.run()
	r.eventually("the hold", time.Millisecond, func() bool {
		all := r.listed(3)
		for _, e := range all {
			if e.State != outbound.Held || !strings.HasPrefix(e.Why(), "disabled") {
				return false
			}
		}
		return len(all) == 3 && len(r.far.got()) == 1 // what was not scheduled
	})
	if n := len(r.inbox(r.anna)) + len(r.inbox(r.bert)); n > 0 {
		t.Errorf("%d copies were filed", n)
	}
	r.steer(3, command.ReleaseRow, r.listed(3)...)
	r.eventually("the end of the queue", time.Millisecond, func() bool { return r.owed() == 0 })
	stop()
	if a, b, f := len(r.inbox(r.anna)), len(r.inbox(r.bert)), len(r.far.got()); a != 1 || b != 1 || f != 2 {
		t.Errorf("after the release anna has %d, bert %d, the other system %d", a, b, f)
	}
}

// A sender who has moved to another group, and has another address by now, is told
// there of what was accepted before.
func TestMovedAndRenamedSenderIsTold(t *testing.T) {
	r := newRig(t, nil)
	r.n.Begin(t)
	anna := r.user("anna", 3)
	r.o.Senders = &owners{primary: addr(t, "anne@example.com")}
	r.c = outbound.New(r.o)
	r.send("anna@example.com", "x@nowhere.example")
	if err := r.n.Move(t.Context(), anna.ID(), 2); err != nil {
		t.Fatal(err)
	}
	delete(r.users, "anna@example.com")
	r.users["anne@example.com"] = anna
	r.run()
	r.eventually("the end of the queue", time.Millisecond, func() bool { return r.owed() == 0 })
	a, err := r.n.Store.Open(t.Context(), anna.ID())
	if err != nil || a.Group() != 2 {
		t.Fatal(err)
	}
	if all := r.inbox(a); len(all) != 1 || !strings.Contains(all[0], "<anne@example.com>") {
		t.Errorf("she was told %q", all)
	}
}
