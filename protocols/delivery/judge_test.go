package delivery_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/policy"
	"rookery/storage/account"
	"rookery/storage/account/accounttest"
	"rookery/storage/command"
)

// verdict answers every message the same.
type verdict struct {
	policy.Base
	v policy.Verdict
}

func (f verdict) OnMessage(_ context.Context, m *policy.Message) policy.Verdict {
	if m.ID != "id" || string(m.Head()) != "a: b\r\n\r\nx\r\n" {
		return policy.Verdict{}
	}
	return f.v
}

// TestJunkGoesToTheJunkMailbox, in the sender's first group and in further ones,
// and to INBOX of who has no such mailbox.
func TestJunkGoesToTheJunkMailbox(t *testing.T) {
	r := newRig(t, accounttest.Options{}, nil)
	r.d.Hurry(time.Hour)
	here, there, without := r.account(r.n.Groups[0]), r.account(r.n.Groups[1]), r.account(r.n.Groups[1])
	if _, _, err := without.Apply(t.Context(), &command.DeleteMailbox{Account: without.ID(), Name: "Junk Email"}); err != nil {
		t.Fatal(err)
	}
	req := delivery.Request{From: "x@example.org", ID: "id", Spool: r.spool("a: b\r\n\r\nx\r\n"),
		Judge: verdict{v: policy.Verdict{Action: policy.Junk}}}
	defer req.Spool.Close()
	for _, a := range []*account.Account{here, there, without} {
		req.Recipients = append(req.Recipients, delivery.Recipient{Account: a.ID()})
	}
	if err := r.d.Deliver(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	run(t, r.d)
	eventually(t, "the fan-out", func() bool { return r.owed() == 0 })
	for a, want := range map[*account.Account][2]int{here: {0, 1}, there: {0, 1}, without: {1, 0}} {
		junk := 0
		if a != without {
			junk = len(r.messages(a, "Junk Email"))
		}
		if got := [2]int{len(r.inbox(a)), junk}; got != want {
			t.Errorf("%d messages in INBOX and the junk mailbox, want %d", got, want)
		}
	}
}

// TestVerdictsDecideWhatIsFiled files a message with the fields that were added,
// behind the trace fields, or nothing.
func TestVerdictsDecideWhatIsFiled(t *testing.T) {
	r := newRig(t, accounttest.Options{}, nil)
	a := r.account(r.n.Groups[0])
	send := func(v policy.Verdict) error {
		s := r.spool("a: b\r\n\r\nx\r\n")
		defer s.Close()
		return r.d.Deliver(t.Context(), delivery.Request{From: "x@example.org", Trace: []byte("Received: from here\r\n"), Spool: s, ID: "id",
			Judge: verdict{v: v}, Recipients: []delivery.Recipient{{Account: a.ID()}}})
	}
	for action := policy.Quarantine; action <= policy.Drop; action++ {
		err := send(policy.Verdict{Action: action})
		var refusal *policy.Refusal
		if action >= policy.Defer && !(errors.As(err, &refusal) && refusal.Verdict.Action == action) {
			t.Errorf("%v: %v", action, err)
		}
		if action < policy.Defer && !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("%v: %v", action, err)
		}
	}
	if err := send(policy.Verdict{Add: []policy.Field{{Name: "X-A", Value: "1"}, {Name: "X-B", Value: "2"}}}); err != nil {
		t.Fatal(err)
	}
	want := []string{"Received: from here\r\nX-A: 1\r\nX-B: 2\r\na: b\r\n\r\nx\r\n"}
	if got := r.inbox(a); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
