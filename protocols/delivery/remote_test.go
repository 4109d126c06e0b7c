package delivery_test

import (
	"testing"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/storage/account/accounttest"
	"rookery/storage/command"
	"rookery/storage/daykey"
	"rookery/storage/keys"
	"rookery/storage/queue"
	"rookery/storage/state"
)

// outward is a rig that takes mail for other systems.
func outward(t *testing.T, change func(*delivery.Options)) (*rig, *daykey.Store) {
	var days *daykey.Store
	var o *delivery.Options
	r := newRig(t, accounttest.Options{}, func(do *delivery.Options) { o = do })
	days = daykey.New(daykey.Options{Log: r.n, Machine: r.n.Machine, Keys: r.n.Keys})
	o.Days = days
	if change != nil {
		change(o)
	}
	r.d = delivery.New(*o)
	return r, days
}

func address(t *testing.T, s string) rookery.Address {
	t.Helper()
	a, err := rookery.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What is for other systems is owed by the group of the sender, who may have no
// copy of it, and names recipients under the key of the day only.
func TestRemoteRecipientsAreOwedByTheSendersGroup(t *testing.T) {
	r, days := outward(t, nil)
	sender, other := r.account(3), r.account(2)
	s := r.spool(small)
	defer s.Close()
	req := delivery.Request{From: "anna@example.com", Sender: sender.ID(), Spool: s, ID: "abc", EnvelopeID: "e1", UTF8: true,
		Recipients: []delivery.Recipient{{Account: other.ID()}},
		Remote: []delivery.RemoteRecipient{{Address: address(t, "x@far.example"), Notify: []string{"NEVER"}},
			{Address: address(t, "y@near.example"), NextHop: "old.example"}}}
	stop := run(t, r.d)
	defer stop()
	if err := r.d.Deliver(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the copy in another group", func() bool { return len(r.inbox(other)) == 1 })
	items, err := r.n.Machine(3).OpenItems(command.ItemID{}, 9)
	if err != nil || len(items) != 1 {
		t.Fatalf("group 3 has the items %v, %v", items, err)
	}
	var rows map[uint32]queue.Row
	var h queue.Header
	if err := r.n.Machine(3).Queue(func(v state.Reader) (err error) {
		if rows, err = queue.RowsOf(v, items[0]); err == nil {
			h, _, err = queue.Find(v, queue.Ref{Item: items[0]})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	key, err := days.Open(t.Context(), 3, keys.Day(h.Day))
	if err != nil {
		t.Fatal(err)
	}
	e, err := queue.OpenEnvelope(key, items[0], h.Envelope)
	if err != nil || e.From != "anna@example.com" || e.EnvelopeID != "e1" || !e.UTF8 || e.ID != "abc" || h.Account != sender.ID() {
		t.Errorf("%+v %+v %v", e, h, err)
	}
	if _, err := key.UnwrapMessage(h.Email, h.Key); err != nil {
		t.Error(err)
	}
	want := []string{"x@far.example", "y@near.example"}
	for n, row := range rows {
		to, err := queue.OpenRecipient(key, queue.Ref{Item: items[0], N: n}, row.Recipient)
		if err != nil || to.Address != want[n] ||
			n == 0 && (len(to.Notify) != 1 || to.Notify[0] != "NEVER") || n == 1 && to.NextHop != "old.example" {
			t.Errorf("row %d: %+v %v", n, to, err)
		}
	}
	if len(rows) != 2 {
		t.Errorf("%d rows are left", len(rows))
	}
}

// The queue's bound refuses mail for other systems, and nothing else.
func TestFullQueueRefusesRemoteMail(t *testing.T) {
	r, _ := outward(t, func(o *delivery.Options) { o.QueueLimit = func() delivery.Limit { return delivery.Limit{Items: 1} } })
	sender := r.account(2)
	send := func(to ...delivery.RemoteRecipient) error {
		s := r.spool(small)
		defer s.Close()
		return r.d.Deliver(t.Context(), delivery.Request{From: "anna@example.com", Sender: sender.ID(), Spool: s, Remote: to,
			Recipients: []delivery.Recipient{{Account: sender.ID()}}})
	}
	far := delivery.RemoteRecipient{Address: address(t, "x@far.example")}
	if err := send(far); err != nil {
		t.Fatal(err)
	}
	if err := send(far); !rookery.Is(err, rookery.KindLimit) {
		t.Errorf("beyond the bound: %v", err)
	}
	if err := send(); err != nil {
		t.Errorf("mail of this system: %v", err)
	}
	r.wantInbox(sender, small, small)
}
