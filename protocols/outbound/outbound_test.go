package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/outbound"
	"rookery/protocols/outbound/session"
	"rookery/storage/command"
	"rookery/storage/propose"
	"rookery/storage/queue"
)

func status(code int, class, subject, detail int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}

// A message goes to each domain once, as it was sent but for its Return-Path, and
// its item ends.
func TestSent(t *testing.T) {
	r := newRig(t, nil)
	r.user("anna", 3)
	far, near := newSink(t), newSink(t)
	r.at("far.example", far)
	r.at("near.example", near)
	stop := r.run()
	r.send("anna@example.com", "x@far.example", "y@far.example", "z@near.example")
	r.eventually("the end of the queue", 0, func() bool { return r.owed() == 0 })
	stop()
	for s, to := range map[*sink][]string{far: {"x@far.example", "y@far.example"}, near: {"z@near.example"}} {
		got := s.got()
		if len(got) != 1 || !slices.Equal(got[0].to, to) || got[0].from != "anna@example.com" {
			t.Fatalf("%+v, want one message to %v", got, to)
		}
		if got[0].text != "Received: from a client\r\n"+letter {
			t.Errorf("%q", got[0].text)
		}
	}
}

// What is refused for good comes back at once, and only that.
func TestRefusedComesBack(t *testing.T) {
	r := newRig(t, nil)
	anna := r.user("anna", 3)
	far := newSink(t)
	r.at("far.example", far)
	far.answer("bad@far.example", status(550, 5, 1, 1, "nobody <evil> here"))
	r.run()
	r.send("anna@example.com", "good@far.example", "bad@far.example", "x@nowhere.example")
	r.eventually("the end of the queue", 0, func() bool { return r.owed() == 0 })
	if got := far.got(); len(got) != 1 || !slices.Equal(got[0].to, []string{"good@far.example"}) {
		t.Errorf("sent %+v", got)
	}
	all := strings.Join(r.inbox(anna), "\n")
	for _, want := range []string{"Return-Path: <>\r\n", "rfc822;bad@far.example", "Status: 5.1.1", "rfc822;x@nowhere.example",
		"Status: 5.1.2",
		"Subject: letter"} {
		if !strings.Contains(strings.ReplaceAll(all, "rfc822; ", "rfc822;"), want) {
			t.Errorf("what came back lacks %q", want)
		}
	}
	if strings.Contains(all, "Final-Recipient: rfc822; good@") {
		t.Error("the recipient who has the message is named in what came back")
	}
	if n := len(r.inbox(anna)); n != 2 {
		t.Errorf("%d notifications, want one for each next hop", n)
	}
}

// Nobody is told of the failure of a notification, and a sender who cannot be
// found holds up nothing.
func TestNoNotificationOfNotifications(t *testing.T) {
	r := newRig(t, nil)
	r.run()
	r.send("", "x@nowhere.example")
	r.send("gone@example.com", "x@nowhere.example")
	r.request(delivery.Request{From: "gone@example.com",
		Remote: []delivery.RemoteRecipient{{Address: addr(t, "x@nowhere.example"), Notify: []string{"NEVER"}}}}, letter)
	r.eventually("the end of the queue", 0, func() bool { return r.owed() == 0 })
}

// What fails for now is tried again, its sender told of the delay once, and it
// comes back when its time is over.
func TestDeferredThenExpired(t *testing.T) {
	r := newRig(t, nil)
	anna := r.user("anna", 2)
	far := newSink(t)
	r.at("far.example", far)
	far.answer("slow@far.example", status(451, 4, 2, 1, "not now"))
	r.run()
	r.send("anna@example.com", "slow@far.example")
	r.eventually("the delay notice", time.Minute, func() bool { return len(r.inbox(anna)) == 1 })
	if got := r.inbox(anna)[0]; !strings.Contains(got, "Action: delayed") || !strings.Contains(got, "not now") {
		t.Errorf("the notice is %s", got)
	}
	if r.owed() == 0 {
		t.Fatal("the notice ended the message")
	}
	r.eventually("the end of the queue", time.Hour, func() bool { return r.owed() == 0 })
	all := r.inbox(anna)
	if len(all) != 2 || !strings.Contains(all[1], "Action: failed") || !strings.Contains(all[1], "Status: 4.4.7") ||
		!strings.Contains(all[1], "not now") {
		t.Errorf("%d notifications; the last is %s", len(all), all[len(all)-1])
	}
	if len(far.got()) > 0 {
		t.Error("it was sent")
	}
}

// A domain with a schedule of its own goes by that, and no other does.
func TestSchedulesOfDomains(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.set.Schedules = map[string]outbound.Schedule{"quick.example": {First: time.Minute, Most: time.Minute, Expire: 20 * time.Minute}}
	})
	anna := r.user("anna", 2)
	far := newSink(t)
	for _, domain := range []string{"quick.example", "far.example"} {
		r.at(domain, far)
		far.answer("x@"+domain, status(451, 4, 2, 1, "not now"))
	}
	r.run()
	r.send("anna@example.com", "x@quick.example")
	r.send("anna@example.com", "x@far.example")
	r.eventually("the bounce", time.Minute, func() bool { return len(r.inbox(anna)) > 0 })
	if all := r.inbox(anna); len(all) != 1 || !strings.Contains(all[0], "Action: failed") || !strings.Contains(all[0], "x@quick.example") {
		t.Errorf("%d notifications: %s", len(all), all[0])
	}
	if got := r.owed(); got != 1 {
		t.Errorf("%d messages wait, not that for the other domain alone", got)
	}
}

// A configured next hop that refuses us bounces nobody: not with its banner, not
// with MAIL.
func TestWrongSmarthostBouncesNobody(t *testing.T) {
	for _, stage := range []string{"HELLO", "MAIL"} {
		t.Run(stage, func(t *testing.T) {
			r := newRig(t, nil)
			anna := r.user("anna", 2)
			relay := newSink(t)
			r.hosts["relay.example:25"] = []outbound.Host{{Peer: session.Peer{Name: "relay.example", Addr: relay.addr}}}
			r.set.Smarthost = &outbound.Hop{Name: "relay.example:25", Configured: true}
			relay.answer(stage, status(554, 5, 7, 1, "who are you"))
			r.run()
			r.send("anna@example.com", "x@far.example")
			x := r.onlyRow()
			r.eventually("an attempt", 0, func() bool { return r.row(x).Tries > 0 })
			h := r.heard(x)
			if !h.Local || h.Code != 554 || !strings.Contains(h.Text, "who are you") || h.Host != "relay.example" {
				t.Errorf("heard %+v", h)
			}
			if all := r.c.Troubles(); len(all) != 1 || all[0].NextHop != "relay.example:25" || all[0].Heard.Code != 554 {
				t.Errorf("troubles are %+v", all)
			}
			relay.answer(stage, nil)
			r.eventually("the end of the queue", 5*time.Second, func() bool { return r.owed() == 0 })
			if len(relay.got()) != 1 || len(r.inbox(anna)) > 0 {
				t.Errorf("sent %d, came back %d", len(relay.got()), len(r.inbox(anna)))
			}
			if all := r.c.Troubles(); len(all) > 0 {
				t.Errorf("troubles are left: %+v", all)
			}
		})
	}
}

// onlyRow is the one row that is owed.
func (r *rig) onlyRow() place {
	r.t.Helper()
	for _, g := range r.n.Groups {
		if items, _ := r.n.Machine(g).OpenItems(command.ItemID{}, 9); len(items) > 0 {
			return place{g, queue.Ref{Item: items[0]}}
		}
	}
	r.t.Fatal("nothing is owed")
	return place{}
}

type place struct {
	group rookery.GroupID
	queue.Ref
}

func (r *rig) row(x place) queue.Row {
	r.t.Helper()
	o, err := r.n.Machine(x.group).Owed(x.Ref)
	if err != nil {
		r.t.Fatal(err)
	}
	return o.Row
}

func (r *rig) heard(x place) queue.Heard {
	r.t.Helper()
	o, err := r.n.Machine(x.group).Owed(x.Ref)
	if err != nil {
		r.t.Fatal(err)
	}
	_, key, err := r.days.Today(r.t.Context(), x.group)
	if err != nil {
		r.t.Fatal(err)
	}
	h, err := queue.OpenHeard(key, x.Ref, o.Row.Last)
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// A message that another courier has is left to it while it lives, and sent when
// its life is over.
func TestDeadCouriersRowsAreTakenOver(t *testing.T) {
	dead := make(chan struct{})
	other := command.Courier{Node: "n2", Epoch: 7}
	r := newRig(t, func(r *rig) {
		r.o.Gone = func(c command.Courier) bool {
			select {
			case <-dead:
				return c == other
			default:
				return false
			}
		}
	})
	r.user("anna", 2)
	far := newSink(t)
	r.at("far.example", far)
	r.send("anna@example.com", "x@far.example")
	x := r.onlyRow()
	if _, _, err := propose.Command(t.Context(), r.n, x.group, &command.BeginAttempts{By: other, Rows: []queue.Ref{x.Ref}}); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.send("anna@example.com", "y@far.example")
	r.eventually("the other message", 0, func() bool { return len(far.got()) == 1 })
	if to := far.got()[0].to[0]; to != "y@far.example" {
		t.Errorf("%s was sent although another has it", to)
	}
	close(dead)
	r.eventually("the end of the queue", 0, func() bool { return r.owed() == 0 })
	if len(far.got()) != 2 {
		t.Errorf("%d messages", len(far.got()))
	}
}

// Who has lost a message to another courier does not end it.
func TestNothingIsSentThatAnotherHas(t *testing.T) {
	var r *rig
	other := command.Courier{Node: "n2", Epoch: 7}
	steal := func(context.Context) error { return nil }
	r = newRig(t, nil)
	r.user("anna", 2)
	far := newSink(t)
	r.at("far.example", far)
	r.send("anna@example.com", "x@far.example")
	x := r.onlyRow()
	// The peer's answer to RCPT comes only after another has the row.
	far.answer("x@far.example", nil)
	steal = func(ctx context.Context) error {
		_, _, err := propose.Command(ctx, r.n, x.group,
			&command.BeginAttempts{By: other, Gone: []command.Courier{r.o.Self}, Rows: []queue.Ref{x.Ref}})
		return err
	}
	r.o.Connect = connector(func(ctx context.Context, hop outbound.Hop) (*outbound.Connection, error) {
		s, err := (&outbound.Hosts{Find: r, Hello: "mail.example.com"}).Open(ctx, hop)
		return s, errors.Join(err, steal(ctx))
	})
	r.c = outbound.New(r.o)
	r.run()
	r.eventually("another has it", 0, func() bool { return r.row(x).By == other })
	r.eventually("the connection", 0, func() bool { far.mu.Lock(); defer far.mu.Unlock(); return far.sessions > 0 })
	for range 50 {
		r.eventually("some time", 10*time.Millisecond, func() bool { return true })
	}
	if len(far.got()) > 0 || r.row(x).By != other {
		t.Errorf("%d messages were sent", len(far.got()))
	}
}

type connector func(context.Context, outbound.Hop) (*outbound.Connection, error)

func (c connector) Open(ctx context.Context, hop outbound.Hop) (*outbound.Connection, error) {
	return c(ctx, hop)
}

// Many messages to one dead and to one living destination: the living gets its
// own at once, and the dead is not tried once for each.
func TestDeadDestinationHoldsUpNobody(t *testing.T) {
	r := newRig(t, nil)
	r.user("anna", 2)
	far, dead := newSink(t), newSink(t)
	r.at("far.example", far)
	r.at("dead.example", dead)
	dead.answer("HELLO", status(421, 4, 3, 2, "closed"))
	r.run()
	const n = 300
	for i := range n {
		r.send("anna@example.com", fmt.Sprintf("x%d@dead.example", i))
	}
	for i := range 20 {
		r.send("anna@example.com", fmt.Sprintf("y%d@far.example", i))
	}
	r.eventually("the mail for the living", 0, func() bool { return len(far.got()) == 20 })
	r.eventually("all was tried or put off", 0, func() bool { return r.owed() == n && r.allTried() })
	dead.mu.Lock()
	tried := dead.sessions
	dead.mu.Unlock()
	if tried > n/4 {
		t.Errorf("%d connections for %d messages", tried, n)
	}
	dead.answer("HELLO", nil)
	r.eventually("the end of the queue", 2*time.Second, func() bool { return r.owed() == 0 })
	if got := len(dead.got()); got != n {
		t.Errorf("%d of %d messages", got, n)
	}
}

func (r *rig) allTried() bool {
	for _, g := range r.n.Groups {
		items, _ := r.n.Machine(g).OpenItems(command.ItemID{}, 1<<20)
		for _, id := range items {
			if r.row(place{g, queue.Ref{Item: id}}).Tries == 0 {
				return false
			}
		}
	}
	return true
}
