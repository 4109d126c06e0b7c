package delivery_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/policy"
	"rookery/storage/account/accounttest"
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
	for action := policy.Junk; action <= policy.Drop; action++ {
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
