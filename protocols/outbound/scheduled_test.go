package outbound_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/outbound"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/propose"
	"rookery/storage/queue"
)

// schedule has anna send to herself, to bert in another group, and to another
// system, after a while.
func (r *rig) schedule(after time.Duration) {
	r.t.Helper()
	var to []delivery.Recipient
	for _, name := range []string{"anna@example.com", "bert@example.com"} {
		to = append(to, delivery.Recipient{Address: addr(r.t, name), Account: r.users[name].ID()})
	}
	r.request(delivery.Request{From: "anna@example.com", Recipients: to, Scheduled: r.clock().Add(after),
		Remote: []delivery.RemoteRecipient{{Address: addr(r.t, "x@far.example")}}}, letter)
}

// listed are the entries of a group's queue.
func (r *rig) listed(g rookery.GroupID) (all []outbound.Entry) {
	r.t.Helper()
	if err := r.c.List(r.t.Context(), g, command.ItemID{}, func(e outbound.Entry) bool {
		all = append(all, e)
		return true
	}); err != nil {
		r.t.Fatal(err)
	}
	return all
}

func (r *rig) steer(g rookery.GroupID, how command.Steering, rows ...outbound.Entry) []bool {
	r.t.Helper()
	c := &command.SteerRows{How: how}
	for _, e := range rows {
		c.Rows = append(c.Rows, e.Row)
	}
	res, _, err := propose.As[*command.RowsResult](r.t.Context(), r.n, g, c)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.Done
}

type scheduling struct {
	*rig
	anna, bert *account.Account
	far        *sink
}

func newScheduling(t *testing.T) *scheduling {
	s := &scheduling{rig: newRig(t, nil), far: newSink(t)}
	s.anna, s.bert = s.user("anna", 3), s.user("bert", 2)
	s.at("far.example", s.far)
	return s
}

func (s *scheduling) want(what string, each int) {
	s.t.Helper()
	if a, b, f := len(s.inbox(s.anna)), len(s.inbox(s.bert)), len(s.far.got()); a != each || b != each || f != each {
		s.t.Errorf("%s: anna has %d, bert %d, the other system %d; want %d each", what, a, b, f, each)
	}
}

// A scheduled message reaches nobody before its time, is listed with it, and then
// reaches everybody once: here and elsewhere.
func TestScheduledGoesWhenItIsTime(t *testing.T) {
	r := newScheduling(t)
	r.schedule(time.Hour)
	at := r.clock().Add(time.Hour)
	stop := r.run()
	r.send("anna@example.com", "now@far.example")
	r.eventually("another message", 0, func() bool { return len(r.far.got()) == 1 })
	r.eventually("its end", 0, func() bool { return r.owed() == 1 })
	if len(r.inbox(r.anna))+len(r.inbox(r.bert)) > 0 {
		t.Error("it was filed before its time")
	}
	var to []string
	for _, e := range r.listed(3) {
		to = append(to, e.To)
		if e.State != outbound.Scheduled || e.Due != at.UnixNano() || e.From != "anna@example.com" {
			t.Errorf("%+v, want it scheduled for %v", e, at)
		}
	}
	if slices.Sort(to); !slices.Equal(to, []string{"anna@example.com", "bert@example.com", "x@far.example"}) {
		t.Errorf("listed are %v", to)
	}
	r.pass(time.Hour)
	r.eventually("the end of the queue", time.Millisecond, func() bool { return r.owed() == 0 })
	stop()
	if got := r.far.got(); len(got) != 2 || !slices.Equal(got[1].to, []string{"x@far.example"}) {
		t.Errorf("the other system got %+v", got)
	}
	if a, b := len(r.inbox(r.anna)), len(r.inbox(r.bert)); a != 1 || b != 1 {
		t.Errorf("anna has %d, bert %d", a, b)
	}
}

// A scheduled message is cancelled, or released before its time.
func TestScheduledIsSteered(t *testing.T) {
	r := newScheduling(t)
	r.schedule(time.Hour)
	all := r.listed(3)
	if done := r.steer(3, command.RetryRow, all...); slices.Contains(done, true) {
		t.Errorf("retry did %v: it would send what is to go later", done)
	}
	if done := r.steer(3, command.CancelRow, all...); slices.Contains(done, false) || r.owed() != 0 {
		t.Errorf("cancelled %v, %d left", done, r.owed())
	}
	r.schedule(time.Hour)
	if done := r.steer(3, command.ReleaseRow, r.listed(3)...); slices.Contains(done, false) {
		t.Errorf("released %v", done)
	}
	stop := r.run()
	r.eventually("the end of the queue", time.Millisecond, func() bool { return r.owed() == 0 })
	stop()
	r.want("after the release", 1)
}

// The age of a scheduled message counts from its time: it is not late, nor too old,
// when it is tried first.
func TestScheduledIsNotOldWhenItIsTime(t *testing.T) {
	r := newScheduling(t)
	r.far.answer("x@far.example", status(450, 4, 2, 1, "not now"))
	r.schedule(10 * 24 * time.Hour)
	r.pass(10 * 24 * time.Hour)
	r.run()
	r.eventually("a failed attempt", time.Millisecond, func() bool {
		all := r.listed(3)
		return len(all) == 1 && all[0].State == outbound.Waiting
	})
	if n := len(r.inbox(r.anna)); n != 1 {
		t.Errorf("anna has %d messages, want the copy alone: nothing is late yet", n)
	}
}

// An account has at most 500 scheduled messages; one that is cancelled makes room.
func TestScheduledMessagesAreBounded(t *testing.T) {
	r := newScheduling(t)
	for range 500 {
		r.schedule(time.Hour)
	}
	req := func() error {
		s := r.d.Spool(0, 0)
		defer s.Close()
		s.Write([]byte(letter))
		s.Finish()
		return r.d.Deliver(context.Background(), delivery.Request{From: "anna@example.com", Sender: r.anna.ID(), Spool: s,
			Scheduled: r.clock().Add(time.Hour), Recipients: []delivery.Recipient{{Address: addr(t, "anna@example.com"), Account: r.anna.ID()}}})
	}
	if err := req(); !rookery.Is(err, rookery.KindLimit) {
		t.Fatalf("the 501st: %v", err)
	}
	item := r.listed(3)[0].Row.Item
	for n := range uint32(3) {
		if done := r.steer(3, command.CancelRow, outbound.Entry{Row: queue.Ref{Item: item, N: n}}); !done[0] {
			t.Fatalf("row %d was not cancelled", n)
		}
	}
	if err := req(); err != nil {
		t.Errorf("after one was cancelled: %v", err)
	}
}
