package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/storage/account"
	"rookery/storage/account/accounttest"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

type rig struct {
	t testing.TB
	n *accounttest.Node
	d *delivery.Deliverer
}

func newRig(t testing.TB, o accounttest.Options, change func(*delivery.Options)) *rig {
	n := accounttest.Open(t, o)
	do := delivery.Options{Accounts: n.Store, Log: n, Machine: n.Machine, ReadBody: n.Bodies.ReadAt,
		Groups: func() []rookery.GroupID { return n.Groups }, Node: "n1", Epoch: 1, TempDir: t.TempDir()}
	if change != nil {
		change(&do)
	}
	return &rig{t, n, delivery.New(do)}
}

// account makes an account in a group.
func (r *rig) account(group rookery.GroupID) *account.Account {
	for i := 0; ; i++ {
		if a := r.n.Account(r.t, fmt.Sprintf("test/%d/%d/%d", group, i, rand.Uint64())); a.Group() == group {
			return a
		}
	}
}

func (r *rig) spool(message string) *spool.Spool {
	s := r.d.Spool(spool.Normalise, 0)
	s.Write([]byte(message))
	if err := s.Finish(); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) deliver(ctx context.Context, message string, to ...*account.Account) error {
	s := r.spool(message)
	defer s.Close()
	req := delivery.Request{From: "x@example.org", Trace: []byte("Received: from here\r\n"), Spool: s}
	for _, a := range to {
		req.Recipients = append(req.Recipients, delivery.Recipient{Account: a.ID()})
	}
	return r.d.Deliver(ctx, req)
}

// inbox reads all messages of an account's INBOX.
func (r *rig) inbox(a *account.Account) []string { return r.messages(a, "INBOX") }

// messages reads all messages of a mailbox.
func (r *rig) messages(a *account.Account, name string) (all []string) {
	v, err := a.View()
	if err != nil {
		r.t.Fatal(err)
	}
	defer v.Close()
	box, err := v.ByName(name)
	if err != nil {
		r.t.Fatal(err)
	}
	err = v.Rows(box.ID, 1, math.MaxUint32, func(row mailbox.Row) bool {
		e, err := v.Email(row.Email)
		if err != nil {
			r.t.Fatal(err)
		}
		b, err := a.Body(r.t.Context(), v, e)
		if err != nil {
			r.t.Fatal(err)
		}
		p := make([]byte, b.Size())
		if _, err := b.ReadAt(r.t.Context(), p, 0); err != nil && err != io.EOF {
			r.t.Fatal(err)
		}
		all = append(all, string(p))
		return true
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func (r *rig) wantInbox(a *account.Account, want ...string) {
	r.t.Helper()
	got := r.inbox(a)
	if len(got) != len(want) {
		r.t.Fatalf("%d messages in INBOX, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			r.t.Fatalf("message %d is %.80q..., want %.80q...", i, got[i], want[i])
		}
	}
}

// clean reports what a settled group must not have.
func (r *rig) clean() {
	r.t.Helper()
	for _, g := range r.n.Groups {
		if s, err := r.n.Machine(g).Stages(); err != nil || len(s) > 0 {
			r.t.Errorf("group %d: stages left: %v %v", g, s, err)
		}
		if in, err := r.n.Machine(g).OpenItems(command.ItemID{}, 9); err != nil || len(in) > 0 {
			r.t.Errorf("group %d: items left: %d %v", g, len(in), err)
		}
	}
}

const small = "Subject: small\r\n\r\nhello\r\n"

// noise is a message that does not compress.
func noise(size int) string {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString("Subject: large\r\n\r\n")
	line := make([]byte, 70)
	for b.Len() < size {
		for i := range line {
			line[i] = byte('!' + rnd.IntN(94))
		}
		b.Write(line)
		b.WriteString("\r\n")
	}
	return b.String()
}

func TestDeliverOne(t *testing.T) {
	r := newRig(t, accounttest.Options{}, nil)
	a := r.account(2)
	for _, m := range []string{small, noise(3 << 20)} {
		if err := r.deliver(t.Context(), m, a, a); err != nil {
			t.Fatal(err)
		}
	}
	r.wantInbox(a, "Received: from here\r\n"+small, "Received: from here\r\n"+noise(3<<20))
	r.clean()
}

// eventually waits until ok, for a while.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(3 * time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal(what, "does not come about")
		}
	}
}

// run runs deliverers until the test or stop ends them.
func run(t *testing.T, ds ...*delivery.Deliverer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, d := range ds {
		wg.Go(func() { d.Run(ctx) })
	}
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

func (r *rig) owed() (n int) {
	for _, g := range r.n.Groups {
		in, _ := r.n.Machine(g).OpenItems(command.ItemID{}, 99)
		n += len(in)
	}
	return n
}

func TestDeliverToSeveralGroups(t *testing.T) {
	for name, m := range map[string]string{"small": small, "large": noise(1 << 20)} {
		t.Run(name, func(t *testing.T) {
			var now atomic.Int64
			now.Store(time.Now().UnixNano())
			clock := func() time.Time { return time.Unix(0, now.Load()) }
			r := newRig(t, accounttest.Options{Groups: []rookery.GroupID{2, 3, 4}, Clock: clock},
				func(o *delivery.Options) { o.Clock = clock })
			r.d.Hurry(time.Hour)
			var all []*account.Account
			for _, g := range []rookery.GroupID{3, 2, 3, 4, 2} {
				all = append(all, r.account(g))
			}
			if err := r.deliver(t.Context(), m, all...); err != nil {
				t.Fatal(err)
			}
			r.wantInbox(all[0], "Received: from here\r\n"+m)
			r.wantInbox(all[1])
			run(t, r.d)
			eventually(t, "the fan-out", func() bool { return r.owed() == 0 })
			for _, a := range all {
				r.wantInbox(a, "Received: from here\r\n"+m)
			}
			r.clean()
			// The marks go an hour after the item was seen gone, not before.
			marks := func() int {
				ids, _ := r.n.Machine(2).Filed(command.ItemID{}, 9)
				return len(ids)
			}
			now.Add(int64(30 * time.Minute)) // a sweep: seen
			eventually(t, "a sweep", func() bool { return r.d.Marks() == 2 })
			now.Add(int64(30*time.Minute - 1))
			if marks() != 1 {
				t.Errorf("%d marks before the hour is over", marks())
			}
			now.Add(int64(time.Hour))
			eventually(t, "the end of the marks", func() bool { return marks() == 0 })
		})
	}
}

// TestAnotherNodeFinishes leaves an item to a node that did not make it.
func TestAnotherNodeFinishes(t *testing.T) {
	r := newRig(t, accounttest.Options{}, nil)
	a, b := r.account(2), r.account(3)
	if err := r.deliver(t.Context(), small, a, b); err != nil {
		t.Fatal(err)
	}
	other := r.other()
	run(t, other)
	eventually(t, "the fan-out", func() bool { return r.owed() == 0 })
	r.wantInbox(b, "Received: from here\r\n"+small)
}

// other is a second node's deliverer.
func (r *rig) other() *delivery.Deliverer {
	d := delivery.New(delivery.Options{Accounts: r.n.Store, Log: r.n, Machine: r.n.Machine, ReadBody: r.n.Bodies.ReadAt,
		Groups: func() []rookery.GroupID { return r.n.Groups }, Node: "n2", Epoch: 1})
	d.Hurry(time.Hour)
	return d
}

// TestFanOutIsExactlyOnce loses answers and refuses commands at random, with
// two nodes that both work on every item.
func TestFanOutIsExactlyOnce(t *testing.T) {
	var calm atomic.Bool
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(3, 4))
	trouble := func(g rookery.GroupID, c command.Command) error {
		switch c.(type) {
		case *command.Deliver, *command.Stage, *command.ItemResult, *command.Abandon:
		default:
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if !calm.Load() && rnd.IntN(3) == 0 {
			return rookery.E("trouble", rookery.KindUnknown, errors.New("lost"))
		}
		return nil
	}
	r := newRig(t, accounttest.Options{Before: trouble, After: trouble}, nil)
	r.d.Hurry(time.Hour)
	a, b := r.account(2), r.account(3)
	stop := run(t, r.d, r.other())
	sure := 0
	for i := range 24 {
		m := small
		if i%6 == 0 {
			m = noise(400 << 10)
		}
		if r.deliver(t.Context(), m, a, b) == nil {
			sure++
		}
	}
	eventually(t, "the fan-out in trouble", func() bool { return r.owed() <= 1 })
	calm.Store(true)
	eventually(t, "the fan-out", func() bool { return r.owed() == 0 })
	stop()
	na, nb := len(r.inbox(a)), len(r.inbox(b))
	if na != nb || na < sure || sure == 0 {
		t.Errorf("%d accepted, %d filed at home, %d in the other group", sure, na, nb)
	}
}

func TestOverQuota(t *testing.T) {
	r := newRig(t, accounttest.Options{}, nil)
	full, roomy := r.account(2), r.account(2)
	if err := r.n.Propose(t.Context(), 2, &command.SetQuota{Account: full.ID(), Quota: 10}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, 11} {
		err := r.d.Check(t.Context(), full.ID(), size)
		if (size > 10) != rookery.Is(err, rookery.KindOverQuota) {
			t.Errorf("size %d: %v", size, err)
		}
	}
	if err := r.deliver(t.Context(), small, full); !rookery.Is(err, rookery.KindOverQuota) {
		t.Fatal(err)
	}
	if err := r.deliver(t.Context(), small, full, roomy); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*account.Account{full, roomy} {
		r.wantInbox(a, "Received: from here\r\n"+small)
	}
	s := r.spool(small)
	defer s.Close()
	if _, err := r.d.Append(t.Context(), full, mailbox.Inbox, 0, nil, time.Time{}, s); !rookery.Is(err, rookery.KindOverQuota) {
		t.Fatal(err)
	}
	r.clean()
}

func TestAppend(t *testing.T) {
	r := newRig(t, accounttest.Options{}, nil)
	a := r.account(3)
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for i := range 2 { // never de-duplicated
		s := r.spool("a: b\n\nbare\n")
		f, err := r.d.Append(t.Context(), a, mailbox.Inbox, command.FlagSeen, []string{"$Work"}, date, s)
		if err != nil || f.UID != rookery.UID(i+1) || f.UIDValidity == 0 || f.ModSeq == 0 {
			t.Fatalf("%+v %v", f, err)
		}
		s.Close()
	}
	r.wantInbox(a, "a: b\r\n\r\nbare\r\n", "a: b\r\n\r\nbare\r\n")
	v, _ := a.View()
	defer v.Close()
	row, err := v.Row(mailbox.Inbox, 1)
	if err != nil || row.Flags != command.FlagSeen || fmt.Sprint(row.Keywords) != "[$Work]" || row.InternalDate != date.Unix() {
		t.Fatalf("%+v %v", row, err)
	}
	s := r.spool(small)
	defer s.Close()
	if _, err := r.d.Append(t.Context(), a, 4711, 0, nil, date, s); !rookery.Is(err, rookery.KindNotFound) {
		t.Fatal(err)
	}
}

func TestFailuresLeaveNothingStaged(t *testing.T) {
	var fail atomic.Int32 // which body command fails
	r := newRig(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
		switch c.(type) {
		case *command.Stage, *command.Deliver:
			if fail.Add(-1) == 0 {
				return rookery.E("test", rookery.KindUnavailable, errors.New("no quorum"))
			}
		}
		return nil
	}}, nil)
	a := r.account(2)
	m := noise(700 << 10)
	for n := int32(1); n <= 4; n++ {
		fail.Store(n)
		if err := r.deliver(t.Context(), m, a); !rookery.Is(err, rookery.KindUnavailable) {
			t.Fatalf("command %d: %v", n, err)
		}
		r.clean()
	}
	fail.Store(0)
	if err := r.deliver(t.Context(), m, a); err != nil {
		t.Fatal(err)
	}
	r.wantInbox(a, "Received: from here\r\n"+m)
}

// TestBytesInFlight counts the bodies on their way into one group.
func TestBytesInFlight(t *testing.T) {
	var now, most atomic.Int64
	size := func(c command.Command) int64 {
		switch c := c.(type) {
		case *command.Stage:
			return int64(len(c.Payload))
		case *command.Deliver:
			return int64(len(c.Payload))
		}
		return 0
	}
	hold := make(chan struct{})
	r := newRig(t, accounttest.Options{
		Before: func(_ rookery.GroupID, c command.Command) error {
			n := now.Add(size(c))
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			if size(c) > 0 {
				<-hold
			}
			return nil
		},
		After: func(_ rookery.GroupID, c command.Command) error { now.Add(-size(c)); return nil },
	}, nil)
	a := r.account(2)
	m := noise(1 << 20)
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if err := r.deliver(t.Context(), m, a); err != nil {
				t.Error(err)
			}
		})
	}
	for now.Load() < 900<<10 { // the budget fills
		select {
		case hold <- struct{}{}:
		default:
		}
	}
	close(hold)
	wg.Wait()
	if most.Load() > 1<<20 {
		t.Errorf("%d bytes in flight", most.Load())
	}
	if got := len(r.inbox(a)); got != 12 {
		t.Errorf("%d messages", got)
	}
}

func TestManyRecipients(t *testing.T) {
	var entry atomic.Int64
	r := newRig(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
		if _, ok := c.(*command.Deliver); ok {
			entry.Store(int64(len(command.Encode(c))))
		}
		return nil
	}}, nil)
	var all []*account.Account
	for i := range 200 {
		all = append(all, r.n.Account(t, fmt.Sprintf("many/%d", i)))
	}
	refs := "References:"
	for i := range 100 {
		refs += fmt.Sprintf("\r\n <%d@example.org>", i)
	}
	if err := r.deliver(t.Context(), refs+"\r\n"+small, all...); err != nil {
		t.Fatal(err)
	}
	if per := entry.Load() / 200; per > 300 {
		t.Errorf("%d bytes an account in the entry", per)
	}
	too := make([]delivery.Recipient, delivery.MaxRecipients+1)
	for i := range too {
		too[i].Account = all[0].ID()
	}
	s := r.spool(small)
	defer s.Close()
	if err := r.d.Deliver(t.Context(), delivery.Request{Recipients: too, Spool: s}); err != nil {
		t.Fatalf("many names of one account: %v", err)
	}
	if err := r.d.Deliver(t.Context(), delivery.Request{Spool: s}); !rookery.Is(err, rookery.KindInvalid) {
		t.Fatal(err)
	}
}

func TestSpoolIsFinalBytes(t *testing.T) {
	r := newRig(t, accounttest.Options{}, nil)
	a := r.account(2)
	m := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 60_000)
	if err := r.deliver(t.Context(), m, a); err != nil {
		t.Fatal(err)
	}
	if got := r.inbox(a)[0]; !bytes.HasSuffix([]byte(got), []byte(m)) || len(got) != len(m)+21 {
		t.Fatalf("%d bytes of %d", len(got), len(m))
	}
}

// TestDeliverWhileAccountsMove moves the recipients between groups while
// messages for all of them, for some and appended ones come: each is filed
// once, in the end.
func TestDeliverWhileAccountsMove(t *testing.T) {
	r := newRig(t, accounttest.Options{Groups: []rookery.GroupID{2, 3, 4}}, nil)
	r.n.Begin(t)
	r.d.Hurry(time.Hour)
	var all []*account.Account
	for _, g := range []rookery.GroupID{2, 3, 4, 2} {
		all = append(all, r.account(g))
	}
	stop := run(t, r.d, r.other())
	var done atomic.Bool
	var wg sync.WaitGroup
	moves := 0
	wg.Go(func() {
		rnd := rand.New(rand.NewPCG(5, 6))
		for !done.Load() || moves < 12 {
			a := all[rnd.IntN(len(all))]
			at, err := r.n.Store.Group(t.Context(), a.ID())
			if err != nil {
				t.Error(err)
				return
			}
			if err := r.n.Move(t.Context(), a.ID(), 2+(at-2+1+rookery.GroupID(rnd.IntN(2)))%3); err != nil {
				t.Error(err)
				return
			}
			moves++
		}
	})
	want := make(map[rookery.AccountID]int)
	for i := range 60 {
		m := small
		if i%10 == 0 {
			m = noise(400 << 10)
		}
		to := all
		if i%3 == 0 {
			to = all[i%4 : i%4+1]
		}
		if err := r.deliver(t.Context(), m, to...); err != nil {
			t.Fatal(err)
		}
		for _, a := range to {
			want[a.ID()]++
		}
		s := r.spool(small)
		if _, err := r.d.Append(t.Context(), all[i%4], mailbox.Inbox, 0, nil, time.Time{}, s); err != nil {
			t.Fatal(err)
		}
		want[all[i%4].ID()]++
		s.Close()
	}
	done.Store(true)
	wg.Wait()
	eventually(t, "the fan-out", func() bool { return r.owed() == 0 })
	stop()
	for _, a := range all {
		if got := len(r.inbox(a)); got != want[a.ID()] {
			t.Errorf("account %s has %d messages, want %d", a.ID(), got, want[a.ID()])
		}
	}
	t.Logf("%d moves", moves)
	r.clean()
}
