package delivery_test

import (
	"testing"

	"rookery/storage/account"
	"rookery/storage/account/accounttest"
)

// Account keys are wrapped anew under the tenant key in use, and all opens.
func TestRewrapAccounts(t *testing.T) {
	r := newRig(t, accounttest.Options{MaxCached: 2}, nil)
	var all []*account.Account
	for range 5 {
		a := r.account(2)
		if err := r.deliver(t.Context(), small, a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	r.n.Keys.Rotate()
	for _, want := range []int{5, 0} {
		if done, err := r.n.Store.RewrapAccounts(t.Context(), 2); err != nil || done != want {
			t.Errorf("%d rewrapped, want %d: %v", done, want, err)
		}
	}
	if err := r.n.Keys.Destroy(1); err != nil {
		t.Fatal(err)
	}
	r.n.Store.KeysChanged()
	for _, a := range all {
		r.wantInbox(a, "Received: from here\r\n"+small)
	}
}
