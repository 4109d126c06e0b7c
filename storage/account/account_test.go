package account_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/account/accounttest"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

func TestEnsureMintsOnce(t *testing.T) {
	var ensured, created atomic.Int32
	n := accounttest.Open(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
		switch c.(type) {
		case *command.EnsureAccount:
			ensured.Add(1)
		case *command.CreateAccount:
			created.Add(1)
		}
		return nil
	}})
	ids := make([]rookery.AccountID, 32)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			id, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 1000)
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	if len(slices.Compact(ids)) != 1 || ensured.Load() != 1 || created.Load() != 1 {
		t.Errorf("ids %v after %d EnsureAccount and %d CreateAccount", slices.Compact(ids), ensured.Load(), created.Load())
	}
	other, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/2"}, 1000)
	if err != nil || other == ids[0] {
		t.Errorf("another entry: %v, %v", other, err)
	}
	a, err := n.Store.Open(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	v := view(t, a)
	all, err := v.Mailboxes()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range all {
		names = append(names, m.Name+m.Role)
	}
	slices.Sort(names)
	want := []string{`Archive\Archive`, `Deleted Items\Trash`, `Drafts\Drafts`, "INBOX", `Junk Email\Junk`, `Sent Items\Sent`}
	if !slices.Equal(names, want) || v.Account().Quota != 1000 {
		t.Errorf("mailboxes %q, quota %d", names, v.Account().Quota)
	}
}

func TestEnsureSpreadsOverGroups(t *testing.T) {
	n := accounttest.Open(t, accounttest.Options{})
	seen := map[rookery.GroupID]int{}
	for i := range 40 {
		seen[n.Account(t, fmt.Sprintf("dir/%d", i)).Group()]++
	}
	if len(seen) != 2 || seen[2] < 5 || seen[3] < 5 {
		t.Errorf("accounts by group: %v", seen)
	}
}

// Two nodes race: another store mints between this one's look-up and proposal.
func TestEnsureRaceBetweenNodes(t *testing.T) {
	var second *account.Store
	var n *accounttest.Node
	raced := false
	var winner rookery.AccountID
	n = accounttest.Open(t, accounttest.Options{Before: func(g rookery.GroupID, c command.Command) error {
		if _, ok := c.(*command.EnsureAccount); ok && !raced {
			raced = true
			var err error
			if winner, err = second.Ensure(context.Background(), rookery.Owner{Key: "dir/1"}, 5); err != nil {
				t.Error(err)
			}
		}
		return nil
	}})
	second = account.New(account.Options{Log: n, Machine: n.Machine, System: n.System, Keys: n.Keys, Bodies: n.Bodies,
		Groups: func() []rookery.GroupID { return n.Groups }})
	id, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 7)
	if err != nil || id != winner {
		t.Errorf("%v, %v; the other node has %v", id, err, winner)
	}
	a, err := n.Store.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if q := view(t, a).Account().Quota; q != 7 {
		t.Errorf("quota %d, want the last one asked for", q)
	}
}

func TestEnsureQuotaAndFailures(t *testing.T) {
	var down atomic.Bool
	var applied atomic.Int32
	n := accounttest.Open(t, accounttest.Options{
		Before: func(rookery.GroupID, command.Command) error {
			applied.Add(1)
			if down.Load() {
				return rookery.E("apply", rookery.KindUnavailable, errors.New("no quorum"))
			}
			return nil
		},
	})
	down.Store(true)
	if _, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 0); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("without a quorum: %v", err)
	}
	down.Store(false)
	id, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	down.Store(true)
	if again, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 0); err != nil || again != id {
		t.Errorf("a known account must need no quorum: %v", err)
	}
	if _, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 50); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a changed quota without a quorum: %v", err)
	}
	down.Store(false)
	if _, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 50); err != nil {
		t.Fatal(err)
	}
	before := applied.Load()
	if _, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 50); err != nil || applied.Load() != before {
		t.Errorf("an unchanged quota costs %d commands, %v", applied.Load()-before, err)
	}
	a, _ := n.Store.Open(t.Context(), id)
	if q := view(t, a).Account().Quota; q != 50 {
		t.Errorf("quota %d", q)
	}
	if _, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: ""}, 0); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("an empty key: %v", err)
	}
}

// A node that died between the map and the account leaves a half that the next
// sign-in completes.
func TestEnsureCompletesAHalf(t *testing.T) {
	fail := true
	n := accounttest.Open(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
		if _, ok := c.(*command.CreateAccount); ok && fail {
			fail = false
			return rookery.E("apply", rookery.KindUnavailable, errors.New("died"))
		}
		return nil
	}})
	if _, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 9); err == nil {
		t.Fatal("no error")
	}
	a := n.Account(t, "dir/1")
	if v := view(t, a); v.Account().ID != a.ID() {
		t.Error("not there")
	}
}

func TestOpenUnknown(t *testing.T) {
	n := accounttest.Open(t, accounttest.Options{})
	if _, err := n.Store.Open(t.Context(), rookery.NewAccountID()); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("%v", err)
	}
	a := n.Account(t, "dir/1")
	if g, err := n.Store.Group(t.Context(), a.ID()); err != nil || g != a.Group() {
		t.Errorf("Group: %v, %v", g, err)
	}
	elsewhere := account.New(account.Options{Log: n, Machine: func(rookery.GroupID) *mailbox.Machine { return nil }, System: n.System,
		Keys: n.Keys, Bodies: n.Bodies, Groups: func() []rookery.GroupID { return n.Groups },
		Remote: func(ctx context.Context, g rookery.GroupID, id rookery.AccountID) (account.Facts, error) {
			if g != a.Group() || id != a.ID() {
				t.Errorf("asked for %v in group %d", id, g)
			}
			return a.Facts(ctx)
		}})
	away, err := elsewhere.Open(t.Context(), a.ID())
	if err != nil {
		t.Fatal("on a node without the group:", err)
	}
	if _, err := away.View(); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a view on a node without the group: %v", err)
	}
	if _, err := away.Key(t.Context()); err != nil {
		t.Errorf("the key on a node without the group: %v", err)
	}
	if id, err := elsewhere.Ensure(t.Context(), rookery.Owner{Key: "dir/1"}, 0); err != nil || id != a.ID() {
		t.Errorf("Ensure on a node without the group: %v, %v", id, err)
	}
}

func view(t testing.TB, a *account.Account) *mailbox.View {
	t.Helper()
	v, err := a.View()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func message(n int) []byte {
	text := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range text {
		if text[i] = byte('a' + r.IntN(26)); i%70 == 68 && i+1 < n {
			text[i] = '\r'
		} else if i%70 == 69 {
			text[i] = '\n'
		}
	}
	return append([]byte("From: a@example.com\r\nSubject: hello\r\nMessage-ID: <1@x>\r\n\r\n"), text...)
}

func readAll(t testing.TB, a *account.Account, v *mailbox.View, row mailbox.Row) ([]byte, error) {
	t.Helper()
	e, err := v.Email(row.Email)
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Body(t.Context(), v, e)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p := make([]byte, r.Size())
	_, err = r.ReadAt(t.Context(), p, 0)
	if err == io.EOF {
		err = nil
	}
	return p, err
}

func TestReadWhatWasDelivered(t *testing.T) {
	n := accounttest.Open(t, accounttest.Options{})
	a := n.Account(t, "dir/1")
	headers := bytes.Repeat([]byte("X-Fill: "+strings.Repeat("0123456789", 6)+"\r\n"), 1)
	big := append(bytes.Clone(headers), message(700_000)...)
	var wide []byte // its extract is too large for the state
	for i := range 3000 {
		wide = fmt.Appendf(wide, "X-Odd-%d: %x\r\n", i, rand.Uint64())
	}
	wide = append(wide, message(100)...)
	for _, m := range [][]byte{message(10), message(100_000), big, wide, {}} {
		f := n.Deliver(t, a, 0, m)
		v := view(t, a)
		row, err := v.Row(f.Mailbox, f.UID)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(t, a, v, row); err != nil || !bytes.Equal(got, m) {
			t.Errorf("%d bytes: got %d, %v", len(m), len(got), err)
		}
		e, _ := v.Email(row.Email)
		x, err := a.Extract(t.Context(), e)
		if err != nil {
			t.Errorf("%d bytes: extract: %v", len(m), err)
		} else if len(m) > 0 && (x.Envelope.Subject != "hello" || !bytes.HasPrefix(m, x.Header)) {
			t.Errorf("%d bytes: extract %+v", len(m), x.Envelope)
		}
	}
}

func TestForeignKeyring(t *testing.T) {
	n := accounttest.Open(t, accounttest.Options{})
	a := n.Account(t, "dir/1")
	other := account.New(account.Options{Log: n, Machine: n.Machine, System: n.System, Keys: keys.GenerateKeyring(),
		Bodies: n.Bodies, Groups: func() []rookery.GroupID { return n.Groups }})
	b, err := other.Open(t.Context(), a.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Key(t.Context()); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("%v", err)
	}
}

func TestMailboxes(t *testing.T) {
	n := accounttest.Open(t, accounttest.Options{})
	a, ctx := n.Account(t, "dir/1"), t.Context()
	r, i, err := a.CreateMailbox(ctx, command.CreateMailbox{Name: "A/B"})
	if err != nil || r.Mailbox == 0 || r.UIDValidity == 0 || i == 0 {
		t.Fatalf("%+v, %d, %v", r, i, err)
	}
	if _, _, err := a.CreateMailbox(ctx, command.CreateMailbox{Name: "A/B"}); !rookery.Is(err, rookery.KindExists) {
		t.Errorf("again: %v", err)
	}
	if _, err := a.RenameMailbox(ctx, command.RenameMailbox{From: "A", To: "C"}); err != nil {
		t.Error(err)
	}
	if _, err := a.Subscribe(ctx, command.Subscribe{Name: "C/B", On: true}); err != nil {
		t.Error(err)
	}
	if _, err := a.DeleteMailbox(ctx, command.DeleteMailbox{Name: "C/B"}); err != nil {
		t.Error(err)
	}
	if _, err := a.DeleteMailbox(ctx, command.DeleteMailbox{Name: "C/B"}); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("delete again: %v", err)
	}
	// INBOX after C: no mailbox named A remains.
	if _, err := view(t, a).ByName("A"); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("A: %v", err)
	}
}

// fill files count messages by copying one.
func fill(t *testing.T, n *accounttest.Node, a *account.Account, count int) (inbox rookery.MailboxID) {
	t.Helper()
	f := n.Deliver(t, a, 0, message(10))
	for have := 1; have < count; {
		take := min(have, count-have, command.MaxBatch)
		if _, _, err := a.Copy(t.Context(), command.Copy{From: f.Mailbox, To: f.Mailbox, UIDs: uidset.Range(1, rookery.UID(take))}); err != nil {
			t.Fatal(err)
		}
		have += take
	}
	return f.Mailbox
}

func TestLongListsAreSplit(t *testing.T) {
	largest := 0
	n := accounttest.Open(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
		switch c := c.(type) {
		case *command.StoreFlags:
			largest = max(largest, c.UIDs.Len())
		case *command.Move:
			largest = max(largest, c.UIDs.Len())
		case *command.Expunge:
			largest = max(largest, c.UIDs.Len())
		}
		return nil
	}})
	a, ctx := n.Account(t, "dir/1"), t.Context()
	const count = 2500
	inbox := fill(t, n, a, count)
	all := uidset.Range(1, 1<<31)
	s, _, err := a.StoreFlags(ctx, command.StoreFlags{Mailbox: inbox, UIDs: all, Mode: command.StoreAdd, Flags: command.FlagSeen})
	if err != nil || s.Changed.Len() != count || s.ModSeq != view(t, a).Account().ModSeq {
		t.Errorf("StoreFlags changed %d, %v", s.Changed.Len(), err)
	}
	archive, err := view(t, a).ByName("Archive")
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := a.Copy(ctx, command.Copy{From: inbox, To: archive.ID, UIDs: all})
	if err != nil || c.Src.Len() != count || c.Dst.Len() != count || c.UIDValidity != archive.UIDValidity {
		t.Errorf("Copy: %d to %d, %v", c.Src.Len(), c.Dst.Len(), err)
	}
	m, _, err := a.Move(ctx, command.Move{From: archive.ID, To: inbox, UIDs: all})
	if err != nil || m.Src.Len() != count || m.Dst.Len() != count || m.Dst.First() != count+1 || m.Dst.Last() != 2*count {
		t.Errorf("Move: %v to %v, %v", m.Src, m.Dst, err)
	}
	e, _, err := a.Expunge(ctx, command.Expunge{Mailbox: inbox, UIDs: uidset.Range(1, count), Force: true})
	if err != nil || e.UIDs.Len() != count {
		t.Errorf("Expunge: %d, %v", e.UIDs.Len(), err)
	}
	if _, _, err := a.StoreFlags(ctx, command.StoreFlags{Mailbox: inbox, UIDs: all, Flags: command.FlagDeleted}); err != nil {
		t.Error(err)
	}
	e, _, err = a.Expunge(ctx, command.Expunge{Mailbox: inbox, All: true})
	if err != nil || e.UIDs.Len() != count || e.More {
		t.Errorf("Expunge of all: %d, %v", e.UIDs.Len(), err)
	}
	if largest > command.MaxBatch {
		t.Errorf("a command of %d messages was sent", largest)
	}
	if _, _, err := a.Move(ctx, command.Move{From: 999, To: inbox, UIDs: all}); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("Move from nowhere: %v", err)
	}
}

func TestCopyThatFailsHalfWayIsTakenBack(t *testing.T) {
	copies := 0
	n := accounttest.Open(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
		if c, ok := c.(*command.Copy); ok && c.From != c.To && c.UIDs.Len() <= command.MaxBatch {
			if copies++; copies == 3 {
				return rookery.E("apply", rookery.KindUnavailable, errors.New("no quorum"))
			}
		}
		return nil
	}})
	a := n.Account(t, "dir/1")
	inbox := fill(t, n, a, 2500)
	archive, _ := view(t, a).ByName("Archive")
	r, _, err := a.Copy(t.Context(), command.Copy{From: inbox, To: archive.ID, UIDs: uidset.Range(1, 2500)})
	if copies > 0 && (!rookery.Is(err, rookery.KindUnavailable) || !r.Dst.Empty()) {
		t.Errorf("%+v, %v", r, err)
	}
	after, _ := view(t, a).ByName("Archive")
	if copies > 0 && after.Messages != 0 {
		t.Errorf("%d copies are left", after.Messages)
	}
	if _, _, err := a.Copy(t.Context(), command.Copy{From: 999, To: archive.ID, UIDs: uidset.Range(1, 5)}); !rookery.Is(err,
		rookery.KindNotFound) {
		t.Errorf("from nowhere: %v", err)
	}
}

func TestWatch(t *testing.T) {
	n := accounttest.Open(t, accounttest.Options{})
	a, b := n.Account(t, "dir/1"), n.Account(t, "dir/2")
	inbox, _ := view(t, a).ByName("INBOX")
	drafts, _ := view(t, a).ByName("Drafts")
	mine, whole, otherBox, otherAccount := a.Watch(inbox.ID), a.Watch(0), a.Watch(drafts.ID), b.Watch(0)
	n.Deliver(t, a, 0, message(10))
	n.Deliver(t, a, 0, message(10)) // a second wake-up joins the first
	woken := func(w *account.Watch) bool {
		select {
		case <-w.C:
			return true
		default:
			return false
		}
	}
	if !woken(mine) || !woken(whole) || woken(otherBox) || woken(otherAccount) || woken(mine) {
		t.Error("the wrong sessions were woken")
	}
	mine.Close()
	mine.Close()
	otherBox.Close()
	n.Deliver(t, a, 0, message(10))
	if woken(mine) || !woken(whole) {
		t.Error("closing one watch must end it and no other")
	}
	whole.Close()
	// The list stays right whatever the order of closing.
	var ws []*account.Watch
	for range 10 {
		ws = append(ws, a.Watch(0))
	}
	for _, i := range rand.Perm(10)[:5] {
		ws[i].Close()
		ws[i] = nil
	}
	n.Deliver(t, a, 0, message(10))
	for _, w := range ws {
		if w != nil && !woken(w) {
			t.Error("a watch was lost")
		}
	}
}

func TestWatchFunc(t *testing.T) {
	n := accounttest.Open(t, accounttest.Options{})
	a := n.Account(t, "dir/1")
	inbox, _ := view(t, a).ByName("INBOX")
	drafts, _ := view(t, a).ByName("Drafts")
	var mine, other atomic.Int32
	w := a.WatchFunc(inbox.ID, func() { mine.Add(1) })
	a.WatchFunc(drafts.ID, func() { other.Add(1) })
	n.Deliver(t, a, 0, message(10))
	if mine.Load() != 1 || other.Load() != 0 {
		t.Errorf("called %d times, another mailbox %d times", mine.Load(), other.Load())
	}
	w.Close()
	w.Close()
	n.Deliver(t, a, 0, message(10))
	if mine.Load() != 1 {
		t.Error("called after Close")
	}
}

func TestWatchConcurrently(t *testing.T) {
	n := accounttest.Open(t, accounttest.Options{})
	a := n.Account(t, "dir/1")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 300 {
				w := a.Watch(0)
				n.Store.Changed(a.ID(), 1, 1)
				<-w.C
				w.Close()
			}
		})
	}
	wg.Wait()
}

func TestCachesAreBounded(t *testing.T) {
	n := accounttest.Open(t, accounttest.Options{MaxCached: 4})
	first := n.Account(t, "dir/0")
	for i := range 20 {
		n.Account(t, fmt.Sprintf("dir/%d", i))
	}
	again := n.Account(t, "dir/0")
	if again == first || again.ID() != first.ID() {
		t.Error("the handle was not dropped, or the account changed")
	}
	if _, err := first.View(); err != nil {
		t.Errorf("a dropped handle in use: %v", err)
	}
	n.Store.Forget(again.ID())
	if third := n.Account(t, "dir/0"); third.ID() != first.ID() {
		t.Error("forgetting must not mint anew")
	}
}
