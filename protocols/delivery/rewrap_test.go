package delivery_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/storage/account"
	"rookery/storage/account/accounttest"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// rotate takes an account's key through a whole rotation.
func rotate(t *testing.T, a *account.Account) {
	t.Helper()
	if err := a.RotateKey(t.Context()); err != nil {
		t.Error(err)
	}
}

func endRotation(t *testing.T, a *account.Account) {
	t.Helper()
	for more, err := true, error(nil); more; {
		if more, err = a.RewrapMessages(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	g, rewrapped, err := a.Rotating()
	if err != nil || g == 0 || !rewrapped {
		t.Fatalf("generation %d, rewrapped %v: %v", g, rewrapped, err)
	}
	if err := a.DropOldKey(t.Context(), g); err != nil {
		t.Fatal(err)
	}
}

// A key that is rotated between the wrapping of a message and its filing loses
// nothing: the message is wrapped anew, inline, staged, appended, and owed to
// another group.
func TestKeysRotateUnderWay(t *testing.T) {
	var r *rig
	var accounts []*account.Account
	var once sync.Once
	r = newRig(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
		if _, ok := c.(*command.Deliver); ok {
			once.Do(func() {
				for _, a := range accounts {
					rotate(t, a)
				}
			})
		}
		return nil
	}}, nil)
	r.d.Hurry(time.Hour)
	a, b := r.account(2), r.account(3)
	run(t, r.d)
	want := []string{}
	for _, message := range []string{small, noise(1 << 20)} {
		accounts, once = []*account.Account{a, b}, sync.Once{}
		if err := r.deliver(t.Context(), message, a, b); err != nil {
			t.Fatal(err)
		}
		want = append(want, "Received: from here\r\n"+message)
		eventually(t, "the fan-out", func() bool { return r.owed() == 0 })
		for _, x := range accounts {
			r.wantInbox(x, want...)
			endRotation(t, x)
			r.wantInbox(x, want...)
		}
	}
	accounts, once = []*account.Account{a}, sync.Once{}
	s := r.spool(small)
	defer s.Close()
	if _, err := r.d.Append(t.Context(), a, mailbox.Inbox, 0, nil, time.Time{}, s); err != nil {
		t.Fatal(err)
	}
	endRotation(t, a)
	r.wantInbox(a, append(want, small)...)
	r.clean()
	if f, err := a.Facts(t.Context()); err != nil || f.Generation != 3 || f.Old != nil {
		t.Errorf("%+v %v", f, err)
	}
}

// A view that was opened before a rotation reads on after its end.
func TestViewsOutliveARotation(t *testing.T) {
	r := newRig(t, accounttest.Options{}, nil)
	a := r.account(2)
	if err := r.deliver(t.Context(), small, a); err != nil {
		t.Fatal(err)
	}
	v, err := a.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	rotate(t, a)
	endRotation(t, a)
	row, err := v.Row(mailbox.Inbox, 1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := v.Email(row.Email)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Extract(t.Context(), e); err != nil {
		t.Error(err)
	}
	if _, err := a.Body(t.Context(), v, e); err != nil {
		t.Error(err)
	}
}

// Account keys are wrapped anew under the tenant key in use, two each where
// they are being rotated, and all else still opens.
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
	rotate(t, all[0])
	r.n.Keys.Rotate()
	for _, want := range []int{6, 0} {
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
	endRotation(t, all[0])
	r.wantInbox(all[0], "Received: from here\r\n"+small)
}

// Settle waits for what began before it, and for nothing else.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := delivery.New(delivery.Options{})
		if err := d.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := d.Begin()
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Settle(late); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("did not wait: %v", err)
		}
		second := d.Begin() // after the first Settle, before the next
		settled := make(chan error, 1)
		go func() { settled <- d.Settle(t.Context()) }()
		synctest.Wait()
		third := d.Begin()
		first()
		synctest.Wait()
		select {
		case err := <-settled:
			t.Fatalf("settled too early: %v", err)
		default:
		}
		second()
		if err := <-settled; err != nil {
			t.Error(err)
		}
		third()
	})
}
