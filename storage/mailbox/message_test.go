package mailbox

import (
	"slices"
	"sync"
	"testing"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/uidset"
)

func TestStoreThatChangesNothingKeepsModSeq(t *testing.T) {
	f, a := newAccount(t, 0)
	f.deliver(a, 1)
	f.deliver(a, 2)
	add := &command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: uidset.Range(1, 2), Flags: command.FlagSeen, Keywords: []string{"Work"}}
	first := do[*command.StoreResult](f, add)
	if first.Changed.String() != "1:2" {
		t.Errorf("%+v", first)
	}
	add.Keywords = []string{"WORK"}
	second := do[*command.StoreResult](f, add)
	if !second.Changed.Empty() || second.ModSeq != first.ModSeq {
		t.Errorf("%+v after %+v", second, first)
	}
	if m := f.mailbox(a, Inbox); m.HighestModSeq != first.ModSeq || m.Unseen != 0 || !slices.Equal(m.Keywords, []string{"Work"}) {
		t.Errorf("%+v", m)
	}
	missing := do[*command.StoreResult](f, &command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: uidset.New(77),
		Flags: command.FlagSeen, Keywords: []string{"new"}})
	if missing.ModSeq != first.ModSeq || len(f.mailbox(a, Inbox).Keywords) != 1 {
		t.Error("a STORE of nothing changed something")
	}
}

func TestStoreUnchangedSince(t *testing.T) {
	f, a := newAccount(t, 0)
	one, two := f.deliver(a, 1), f.deliver(a, 2)
	r := do[*command.StoreResult](f, &command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: uidset.Range(1, 9),
		Flags: command.FlagDeleted, UnchangedSince: &one.ModSeq})
	if r.Changed.String() != "1" || r.Modified.String() != "2" || r.ModSeq != two.ModSeq+1 {
		t.Errorf("%+v", r)
	}
	zero := rookery.ModSeq(0)
	r = do[*command.StoreResult](f, &command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: uidset.Range(1, 9),
		Flags: command.FlagSeen, UnchangedSince: &zero})
	if r.Modified.String() != "1:2" || !r.Changed.Empty() {
		t.Errorf("%+v", r)
	}
}

func TestExpungeTakesOnlyDeletedUnlessForced(t *testing.T) {
	f, a := newAccount(t, 0)
	for i := range 4 {
		f.deliver(a, i+1)
	}
	do[*command.StoreResult](f, &command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: uidset.New(2, 3), Flags: command.FlagDeleted})
	if r := do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.New(1, 2)}); r.UIDs.String() != "2" {
		t.Errorf("%+v", r)
	}
	if r := do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, All: true}); r.UIDs.String() != "3" {
		t.Errorf("%+v", r)
	}
	if r := do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox}); !r.UIDs.Empty() {
		t.Errorf("an empty list expunged %s", r.UIDs)
	}
	if r := do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.New(4, 5),
		Force: true}); r.UIDs.String() != "4" || r.More {
		t.Errorf("%+v", r)
	}
	if d := f.deliver(a, 9); d.UID != 5 {
		t.Errorf("UID %d after 4", d.UID)
	}
}

func TestQuota(t *testing.T) {
	f, a := newAccount(t, 250)
	f.deliver(a, 1)
	f.deliver(a, 2)
	if d := f.deliver(a, 3); d.OK || d.Kind != rookery.KindOverQuota || !rookery.Is(d.Err(), rookery.KindOverQuota) {
		t.Errorf("%+v", d)
	}
	f.refused(rookery.KindOverQuota, &command.Copy{Account: a, From: Inbox, To: 2, UIDs: uidset.Range(1, 2)})
	do[*command.CopyResult](f, &command.Move{Account: a, From: Inbox, To: 2, UIDs: uidset.Range(1, 2)})
	if d := f.deliver(a, 3, func(c *command.Deliver) { c.Deliveries[0].NoQuota = true }); !d.OK {
		t.Errorf("%+v", d)
	}
	do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: 2, UIDs: uidset.Range(1, 2), Force: true})
	if d := f.deliver(a, 4); !d.OK {
		t.Errorf("expunged messages count: %+v", d)
	}
	do[*command.Done](f, &command.SetQuota{Account: a, Quota: 0})
	if d := f.deliver(a, 5); !d.OK {
		t.Errorf("no quota: %+v", d)
	}
}

func TestTooLargeBatchesAreRefused(t *testing.T) {
	f, a := newAccount(t, 0)
	for i := range command.MaxBatch + 5 {
		f.deliver(a, i+1)
	}
	all := uidset.Range(1, 0xffffffff)
	for _, c := range []command.Command{
		&command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: all, Flags: command.FlagSeen},
		&command.Copy{Account: a, From: Inbox, To: 2, UIDs: all},
		&command.Move{Account: a, From: Inbox, To: 2, UIDs: all},
		&command.Expunge{Account: a, Mailbox: Inbox, UIDs: all, Force: true},
	} {
		f.refused(rookery.KindLimit, c)
	}
	r := do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, All: true, Force: true})
	if !r.More || r.UIDs.Len() != command.MaxBatch {
		t.Errorf("%d removed, more %v", r.UIDs.Len(), r.More)
	}
	r = do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, All: true, Force: true})
	if r.More || r.UIDs.Len() != 5 {
		t.Errorf("%d removed, more %v", r.UIDs.Len(), r.More)
	}
	p := do[*command.PurgeResult](f, &command.PurgeExpunged{Account: a, Before: f.clock + 1e9})
	if !p.More || p.Purged != command.MaxBatch {
		t.Errorf("%+v", p)
	}
}

func TestThreads(t *testing.T) {
	f, a := newAccount(t, 0)
	tok := func(ts ...byte) func(*command.Deliver) {
		return func(c *command.Deliver) {
			for _, x := range ts {
				c.Deliveries[0].Threads = append(c.Deliveries[0].Threads, [8]byte{x})
			}
		}
	}
	f.deliver(a, 1, tok(1))
	f.deliver(a, 2, tok(2, 1)) // answers 1
	f.deliver(a, 3, tok(9))    // another
	f.deliver(a, 4, tok(3, 9, 1))
	rows := f.rows(a, Inbox)
	first := rookery.ThreadID(emailID(1))
	if rows[0].Thread != first || rows[1].Thread != first || rows[2].Thread != rookery.ThreadID(emailID(3)) ||
		rows[3].Thread != rows[2].Thread {
		t.Errorf("%+v", rows)
	}
}

// TestViewsStayAtTheirInstant holds old views while the mailbox goes on, from
// several goroutines: run it with -race.
func TestViewsStayAtTheirInstant(t *testing.T) {
	f, a := newAccount(t, 0)
	type moment struct {
		v    *View
		want string
	}
	var moments []moment
	var wg sync.WaitGroup
	var uids UIDs
	for i := range 60 {
		f.deliver(a, i+1)
		uids = uids.Append(rookery.UID(i + 1))
		if i%7 == 3 {
			gone := uidset.New(rookery.UID(i-2), rookery.UID(i+1))
			do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: gone, Force: true})
			uids = uids.Without(gone)
		}
		moments = append(moments, moment{f.view(a), uids.String()})
	}
	for range 3 {
		for i := range moments {
			wg.Go(func() {
				m := moments[i]
				got, err := m.v.UIDs(Inbox)
				if err != nil || got.String() != m.want {
					t.Errorf("moment %d: %s %v, want %s", i, got, err, m.want)
				}
			})
		}
		wg.Wait()
	}
	for _, m := range moments {
		m.v.Close()
	}
}

func TestEventsWakeWhatChanged(t *testing.T) {
	f, a := newAccount(t, 0)
	clear(f.woken)
	d := f.deliver(a, 1)
	if len(f.woken) != 1 || f.woken[boxKey{a, Inbox}] != d.ModSeq {
		t.Errorf("%v", f.woken)
	}
	clear(f.woken)
	do[*command.CopyResult](f, &command.Move{Account: a, From: Inbox, To: 2, UIDs: uidset.New(1)})
	if len(f.woken) != 2 {
		t.Errorf("%v", f.woken)
	}
	clear(f.woken)
	f.refused(rookery.KindNotFound, &command.Move{Account: a, From: Inbox, To: 99, UIDs: uidset.New(1)})
	if len(f.woken) != 0 {
		t.Errorf("%v", f.woken)
	}
	do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "n"})
	if _, ok := f.woken[boxKey{a, 0}]; !ok {
		t.Errorf("%v", f.woken)
	}
}

func TestRetryAnswersAlike(t *testing.T) {
	f, a := newAccount(t, 0)
	c := &command.Deliver{Email: emailID(1), Deliveries: []command.Delivery{{Account: a}}, Payload: []byte("x")}
	first := f.raw(command.Encode(c))
	if again := f.again(); string(again) != string(first) || f.mailbox(a, Inbox).Messages != 1 {
		t.Errorf("%x then %x", first, again)
	}
	if r := state.DecodeResult(first); !r.OK {
		t.Error(r.Text)
	}
}
