package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/outbound"
	"rookery/storage/command"
)

// nowhere is a world in which no domain exists.
type nowhere struct{}

func (nowhere) Open(context.Context, outbound.Hop) (*outbound.Connection, error) {
	return nil, rookery.E("find hosts", rookery.KindNotFound, errors.New("there is no such domain"))
}

// Where recipients of many domains fail for good at once, no more messages go back:
// they are held until somebody releases them, and go back then if they still fail.
func TestManyFailuresAreHeld(t *testing.T) {
	r := newRig(t, func(r *rig) { r.o.Connect = nowhere{} })
	anna := r.user("anna", 3)
	r.run()
	for n := range 80 {
		r.send("anna@example.com", fmt.Sprintf("x@d%d.example", n))
	}
	held := func() (all []outbound.Entry) {
		for _, e := range r.listed(3) {
			if e.State == outbound.Held {
				all = append(all, e)
			}
		}
		return all
	}
	r.eventually("the end of all attempts", 0, func() bool { return len(held()) == r.owed() && len(held())+len(r.inbox(anna)) == 80 })
	all := held()
	if len(all) != 31 || r.c.Braked().IsZero() {
		t.Fatalf("%d are held, want those after the first 49; braked %v", len(all), r.c.Braked())
	}
	for i := range all {
		if f := (outbound.Filter{Reason: "brake"}); !f.Matches(&all[i], r.clock()) || all[i].Last.Text == "" {
			t.Errorf("%+v: it is not said why it is held", all[i])
		}
	}
	if done := r.steer(3, command.ReleaseRow, all...); slices.Contains(done, false) {
		t.Errorf("released %v", done)
	}
	r.eventually("the rest", time.Millisecond, func() bool { return len(r.inbox(anna)) == 80 && r.owed() == 0 })
	r.pass(25 * time.Hour)
	if at := r.c.Braked(); !at.IsZero() {
		t.Errorf("a day later it is still reported: %v", at)
	}
}

// Failures of one domain, however many, are that domain's.
func TestFailuresOfOneDomainGoBack(t *testing.T) {
	r := newRig(t, func(r *rig) { r.o.Connect = nowhere{} })
	anna := r.user("anna", 3)
	r.run()
	for n := range 60 {
		r.send("anna@example.com", fmt.Sprintf("x%d@far.example", n))
	}
	r.eventually("the bounces", time.Millisecond, func() bool { return len(r.inbox(anna)) == 60 && r.owed() == 0 })
}

// refusing takes no message for a while.
type refusing struct {
	outbound.Filer
	times int
}

func (f *refusing) Deliver(ctx context.Context, r delivery.Request) error {
	if f.times++; f.times <= 2 {
		return rookery.E("deliver", rookery.KindConflict, errors.New("the group has no key of the day"))
	}
	return f.Filer.Deliver(ctx, r)
}

// A conflict that is not about what the sender was told ends nothing: the sender
// is told later.
func TestAConflictOfAnotherKindIsTriedAgain(t *testing.T) {
	r := newRig(t, func(r *rig) { r.o.Connect, r.o.Filer = nowhere{}, &refusing{Filer: r.o.Filer} })
	anna := r.user("anna", 3)
	r.run()
	r.send("anna@example.com", "x@far.example")
	r.eventually("the bounce", time.Second, func() bool { return len(r.inbox(anna)) == 1 && r.owed() == 0 })
	if n := r.o.Filer.(*refusing).times; n != 3 {
		t.Errorf("%d tries to tell the sender, want 3", n)
	}
}
