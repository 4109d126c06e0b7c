package outbound_test

import (
	"errors"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/outbound"
	"rookery/storage/command"
)

// An account that suddenly sends is held for other systems, and for those alone;
// what is released goes. Past its bound the sender is told when it goes again.
func TestUnusualMailIsHeld(t *testing.T) {
	r := newScheduling(t)
	rate := command.Rate{Most: 4, Surprise: 2}
	r.d = delivery.New(delivery.Options{Accounts: r.n.Store, Log: r.n, Machine: r.n.Machine, ReadBody: r.n.Bodies.ReadAt, Days: r.days,
		Groups: r.groups, Node: "n1", Epoch: 1, TempDir: t.TempDir(), Clock: r.clock, Rate: func(domain string) command.Rate {
			if domain != "example.com" {
				t.Errorf("the bound of %q was asked for", domain)
			}
			return rate
		}})
	stop := r.run()
	send := func(to ...string) error {
		s := r.d.Spool(0, 0)
		defer s.Close()
		s.Write([]byte(letter))
		s.Finish()
		req := delivery.Request{From: "anna@example.com", Sender: r.anna.ID(), Submitted: true, Spool: s,
			Recipients: []delivery.Recipient{{Address: addr(t, "bert@example.com"), Account: r.bert.ID()}}}
		for _, a := range to {
			req.Remote = append(req.Remote, delivery.RemoteRecipient{Address: addr(t, a)})
		}
		return r.d.Deliver(t.Context(), req)
	}
	if err := send("x@far.example", "y@far.example"); err != nil {
		t.Fatal(err)
	}
	r.eventually("what is usual", 0, func() bool { return len(r.far.got()) == 1 && r.owed() == 0 })
	if err := send("z@far.example"); err != nil {
		t.Fatal(err)
	}
	r.eventually("the copy here", 0, func() bool { return len(r.inbox(r.bert)) == 2 })
	all := r.listed(3)
	if len(all) != 1 || all[0].State != outbound.Held || !all[0].Unusual || all[0].Account != r.anna.ID() ||
		!(&outbound.Filter{Reason: "Unusual", Sender: "anna@example.com"}).Matches(&all[0], r.clock()) {
		t.Fatalf("%+v, want the message held as unusual", all)
	}
	err := send("p@far.example", "q@far.example")
	if late := (*delivery.RateError)(nil); !errors.As(err, &late) || !rookery.Is(err, rookery.KindLimit) ||
		late.Again.Sub(r.clock()) > time.Hour || !late.Again.After(r.clock()) {
		t.Errorf("past the bound: %v", err)
	}
	if done := r.steer(3, command.ReleaseRow, all...); !done[0] {
		t.Fatal("it was not released")
	}
	r.eventually("what was held", time.Millisecond, func() bool { return len(r.far.got()) == 2 && r.owed() == 0 })
	stop()
}
