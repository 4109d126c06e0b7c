package account_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

// A handle goes on where its account goes: what was read before can be read
// on, and what is asked then is asked there.
func TestHandleFollowsItsAccount(t *testing.T) {
	n := accounttest.Open(t, accounttest.Options{})
	n.Begin(t)
	a := n.Account(t, "dir/1")
	from := a.Group()
	to := rookery.GroupID(5) - from
	// Another account's body has the same id in the target.
	other := n.Account(t, "dir/x")
	for i := 0; other.Group() != to; i++ {
		other = n.Account(t, fmt.Sprintf("dir/x%d", i))
	}
	n.Deliver(t, other, 0, []byte("Subject: other\r\n\r\nsomething else\r\n"))
	n.Deliver(t, a, 0, []byte("Subject: one\r\n\r\nbody one\r\n"))
	v := view(t, a)
	row, err := v.Row(mailbox.Inbox, 1)
	if err != nil {
		t.Fatal(err)
	}
	email, err := v.Email(row.Email)
	if err != nil {
		t.Fatal(err)
	}
	w := a.Watch(mailbox.Inbox)
	defer w.Close()
	for drained := false; !drained; {
		select {
		case <-w.C:
		default:
			drained = true
		}
	}
	if err := n.Move(t.Context(), a.ID(), to); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.C:
	default:
		t.Error("the move did not wake the session")
	}
	read := func(v *mailbox.View, e mailbox.Email) string {
		t.Helper()
		r, err := a.Body(t.Context(), v, e)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p := make([]byte, r.Size())
		if _, err := r.ReadAt(t.Context(), p, 0); err != nil && err.Error() != "EOF" {
			t.Fatal(err)
		}
		return string(p)
	}
	want := "Subject: one\r\n\r\nbody one\r\n"
	if got := read(v, email); got != want {
		t.Errorf("through the old view: %q", got)
	}
	for range 100 { // the reaper takes the old body away
		if err := n.Propose(t.Context(), from, &command.PurgeExpunged{Account: a.ID()}); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(nil, email); got != want {
		t.Errorf("without a view: %q", got)
	}
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.Group() != to {
		t.Errorf("the handle is in group %d, the account in %d", a.Group(), to)
	}
	now := view(t, a)
	again, err := now.Row(mailbox.Inbox, 1)
	if err != nil || again.ModSeq != row.ModSeq || again.Email != row.Email {
		t.Errorf("%+v became %+v %v", row, again, err)
	}
	if _, _, err := a.StoreFlags(t.Context(),
		command.StoreFlags{Mailbox: mailbox.Inbox, UIDs: uidset.New(1), Flags: command.FlagSeen}); err != nil {
		t.Error(err)
	}
	if f, err := a.Facts(t.Context()); err != nil || f.Used == 0 {
		t.Errorf("facts %+v %v", f, err)
	}
	// The directory changes a quota: the account is found where it is.
	if id, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 4711); err != nil || id != a.ID() {
		t.Error(id, err)
	}
	if q := view(t, a).Account().Quota; q != 4711 {
		t.Errorf("quota %d", q)
	}
}

// While an account is out of service its commands and views wait; where that
// takes too long the answer is temporary.
func TestHandleWaitsForItsAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hold atomic.Bool
		n := accounttest.Open(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
			if _, ok := c.(*command.SwitchMove); ok && hold.Load() {
				return rookery.E("test", rookery.KindUnavailable, errors.New("no quorum"))
			}
			return nil
		}})
		n.Begin(t)
		a := n.Account(t, "dir/1")
		to := rookery.GroupID(5) - a.Group()
		hold.Store(true)
		if err := n.Move(t.Context(), a.ID(), to); !rookery.Is(err, rookery.KindUnavailable) {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.View(); !rookery.Is(err, rookery.KindMoved) {
				t.Errorf("view: %v", err)
			}
		})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := a.Sync(ctx); !rookery.Is(err, rookery.KindMoved) {
				t.Errorf("sync: %v", err)
			}
		})
		wg.Wait()
		began := time.Now()
		wg.Go(func() {
			if _, _, err := a.CreateMailbox(t.Context(), command.CreateMailbox{Name: "x"}); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(3 * time.Second)
		hold.Store(false)
		if err := n.Resume(t.Context(), a.ID()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if waited := time.Since(began); waited < 3*time.Second || waited > 4*time.Second {
			t.Errorf("the command waited %v", waited)
		}
		if m, err := view(t, a).ByName("x"); err != nil || a.Group() != to {
			t.Error(m, err, a.Group())
		}
	})
}
