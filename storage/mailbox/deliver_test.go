package mailbox

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/queue"
	"rookery/storage/uidset"
)

func TestBodyIsReadableInItsEntry(t *testing.T) {
	f, a := newAccount(t, 0)
	f.deliver(a, 1)
	entry := f.last
	b, err := f.m.Body(BodyID(f.index))
	if err != nil || len(b.Log) != 1 || b.Encoded != 6 || b.Size != 100 || string(b.Layout) != "layout" {
		t.Fatalf("%+v %v", b, err)
	}
	p := b.Log[0]
	if got := string(entry[p.Off : p.Off+p.Len]); got != "body 1" || p.Index != f.index || p.Term != 1 {
		t.Errorf("%+v leads to %q", p, got)
	}
}

// TestDeliveryToARole files in the mailbox that has the role when the command is
// applied, whatever its name, and where none has it in INBOX, or nowhere.
func TestDeliveryToARole(t *testing.T) {
	f, a := newAccount(t, 0)
	n := 0
	filed := func(d command.Delivery) command.Filed {
		n++
		d.Account = a
		c := &command.Deliver{Email: emailID(n), Size: 100, Payload: []byte("body"), Deliveries: []command.Delivery{d}}
		return do[*command.DeliverResult](f, c).Filed[0]
	}
	refused := func(want rookery.Kind, d command.Delivery) {
		t.Helper()
		if got := filed(d); got.OK || got.Kind != want {
			t.Errorf("%+v: %+v, want %s", d, got, want)
		}
	}
	junk := command.Delivery{Role: `\Junk`}
	strict := command.Delivery{Role: `\Junk`, Strict: true}
	box := f.byName(a, "Junk Email").ID
	do[*command.MailboxResult](f, &command.RenameMailbox{Account: a, From: "Junk Email", To: "Spam"})
	if got := filed(strict); !got.OK || got.Mailbox != box {
		t.Errorf("filed %+v, want mailbox %d", got, box)
	}
	do[*command.Done](f, &command.DeleteMailbox{Account: a, Name: "Spam"})
	if got := filed(junk); !got.OK || got.Mailbox != Inbox {
		t.Errorf("filed %+v, want INBOX", got)
	}
	refused(rookery.KindNotFound, strict)
	refused(rookery.KindInvalid, command.Delivery{Role: `\Junk`, Mailbox: Inbox})
	refused(rookery.KindInvalid, command.Delivery{Role: `\Flagged`})
	next := do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "Bulk", Role: `\Junk`}).Mailbox
	if got := filed(junk); !got.OK || got.Mailbox != next {
		t.Errorf("filed %+v, want mailbox %d", got, next)
	}
}

// TestMostDeliveries counts what an entry files with what it owes to other groups.
func TestMostDeliveries(t *testing.T) {
	f, a := newAccount(t, 0)
	c := &command.Deliver{Email: emailID(1), Payload: []byte("body"), Deliveries: make([]command.Delivery, command.MaxDeliveries+1)}
	c.Deliveries[0].Account = a
	f.refused(rookery.KindLimit, c)
	c.Deliveries = c.Deliveries[:command.MaxDeliveries/2]
	c.Item = &command.Item{ID: command.ItemID{1}, Kind: command.Message, Rows: []command.ItemRow{
		{Kind: command.ToGroup, Group: 3, Deliveries: make([]command.Delivery, command.MaxDeliveries/4)},
		{Kind: command.ToGroup, Group: 4, Deliveries: make([]command.Delivery, command.MaxDeliveries/4+1)}}}
	f.refused(rookery.KindLimit, c)
	c.Item.Rows[1].Deliveries = c.Item.Rows[1].Deliveries[1:]
	if r := do[*command.DeliverResult](f, c); !r.Filed[0].OK {
		t.Errorf("%+v", r.Filed[0])
	}
}

func TestStagedBody(t *testing.T) {
	f, a := newAccount(t, 0)
	id := command.StageID{Node: "n1", Epoch: 1, N: 7}
	entries := map[rookery.LogIndex][]byte{}
	for i, chunk := range []string{"one", "two", "three"} {
		do[*command.Done](f, &command.Stage{Stage: id, Part: uint32(i), Payload: []byte(chunk)})
		entries[f.index] = f.last
	}
	first := f.index - 2
	staged := func(parts uint32) func(*command.Deliver) {
		return func(c *command.Deliver) { c.Staged, c.Payload = &command.Staged{Stage: id, Parts: parts}, nil }
	}
	if oldest, err := f.m.OldestUnpacked(); oldest != first || err != nil {
		t.Errorf("oldest %d %v", oldest, err)
	}
	f.refused(rookery.KindConflict, &command.Deliver{Email: emailID(1), Staged: &command.Staged{Stage: id, Parts: 2},
		Deliveries: []command.Delivery{{Account: a}}})
	f.deliver(a, 1, staged(3))
	b, err := f.m.Body(BodyID(f.index))
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for _, p := range b.Log {
		got += string(entries[p.Index][p.Off : p.Off+p.Len])
	}
	if got != "onetwothree" || b.Encoded != 11 {
		t.Errorf("%q %+v", got, b)
	}
	if oldest, _ := f.m.OldestUnpacked(); oldest != first {
		t.Errorf("oldest %d, want %d", oldest, first)
	}
	do[*command.Done](f, &command.Packed{Pack: "p", Size: 100, Bodies: []command.PackedBody{{Body: b.ID, Off: 4, Len: 11}}})
	if oldest, _ := f.m.OldestUnpacked(); oldest != 0 {
		t.Errorf("oldest %d after packing", oldest)
	}
	f.refused(rookery.KindConflict, &command.Deliver{Email: emailID(2), Staged: &command.Staged{Stage: id, Parts: 3},
		Deliveries: []command.Delivery{{Account: a}}})
	if got := f.tables(); got[tableStage]+got[tableChunk]+got[tableNode]+got[tableFloor] != 0 {
		t.Errorf("the stage left rows: %v", got)
	}
}

func TestAbandonedAndOlderStagesAreGone(t *testing.T) {
	f, a := newAccount(t, 0)
	old, other := command.StageID{Node: "n1", Epoch: 1, N: 1}, command.StageID{Node: "n11", Epoch: 1, N: 1}
	do[*command.Done](f, &command.Stage{Stage: old, Payload: []byte("x")})
	do[*command.Done](f, &command.Stage{Stage: other, Payload: []byte("x")})
	do[*command.Done](f, &command.Stage{Stage: command.StageID{Node: "n1", Epoch: 2}, Payload: []byte("x")})
	f.refused(rookery.KindConflict, &command.Deliver{Email: emailID(1), Staged: &command.Staged{Stage: old, Parts: 1},
		Deliveries: []command.Delivery{{Account: a}}})
	f.refused(rookery.KindConflict, &command.Stage{Stage: old, Part: 1, Payload: []byte("x")})
	f.refused(rookery.KindInvalid, &command.Stage{Stage: other, Part: 1})
	if stages, _ := f.m.Stages(); len(stages) != 2 || stages[0].ID.Epoch != 2 || stages[1].ID != other {
		t.Errorf("%+v", stages)
	}
	do[*command.Done](f, &command.Abandon{Stage: other})
	do[*command.Done](f, &command.Abandon{Stage: other})
	f.refused(rookery.KindConflict, &command.Stage{Stage: other, Part: 1, Payload: []byte("x")})
}

// What a removed node has staged goes, of all its lives, and holds the log no
// longer; what names it later is refused.
func TestForgottenNodesLeaveNoStages(t *testing.T) {
	f, a := newAccount(t, 0)
	one, two := command.StageID{Node: "gone", Epoch: 1, N: 1}, command.StageID{Node: "gone", Epoch: 1, N: 2}
	other := command.StageID{Node: "gone2", Epoch: 1, N: 1}
	for _, id := range []command.StageID{one, two, other} {
		for part := range uint32(3) {
			do[*command.Done](f, &command.Stage{Stage: id, Part: part, Payload: []byte("x")})
		}
	}
	held, err := f.m.OldestUnpacked()
	if err != nil || held == 0 {
		t.Fatal(held, err)
	}
	for range 2 {
		do[*command.Done](f, &command.ForgetNode{Node: "gone"})
	}
	if stages, _ := f.m.Stages(); len(stages) != 1 || stages[0].ID != other {
		t.Errorf("%+v", stages)
	}
	if is, err := f.m.Forgot("gone"); !is || err != nil {
		t.Error("it is not forgotten:", err)
	}
	if now, err := f.m.OldestUnpacked(); err != nil || now <= held {
		t.Errorf("the log is held from %d on, before from %d: %v", now, held, err)
	}
	f.refused(rookery.KindConflict, &command.Deliver{Email: emailID(1), Staged: &command.Staged{Stage: one, Parts: 3},
		Deliveries: []command.Delivery{{Account: a}}})
	f.refused(rookery.KindConflict, &command.Stage{Stage: two, Part: 3, Payload: []byte("x")})
	f.refused(rookery.KindInvalid, &command.ForgetNode{})
	do[*command.Done](f, &command.ForgetNode{Node: "gone2"})
	if now, err := f.m.OldestUnpacked(); err != nil || now != 0 {
		t.Errorf("the log is held from %d on: %v", now, err)
	}
	if got := f.tables(); got[tableStage]+got[tableChunk]+got[tableNode]+got[tableFloor] != 0 {
		t.Errorf("the stages left rows: %v", got)
	}
}

// A Deliver that was sent for an item and comes too late does nothing.
func TestLateDeliverForAnItemIsRefused(t *testing.T) {
	f, a := newAccount(t, 0)
	id := command.ItemID{1}
	c := &command.Deliver{Email: emailID(1), Deliveries: []command.Delivery{{Account: a}}, Size: 3, FromItem: &id, Payload: []byte("abc")}
	c.Until = f.clock - 1e9
	f.refused(rookery.KindUnavailable, c)
	if n := f.mailbox(a, Inbox).Messages; n != 0 {
		t.Errorf("%d messages", n)
	}
	c.Until = f.clock + 1e15
	if r := do[*command.DeliverResult](f, c); !r.Filed[0].OK {
		t.Errorf("%+v", r)
	}
}

func TestStagesOfANodeAreBounded(t *testing.T) {
	f, _ := newAccount(t, 0)
	for n := range uint64(MaxStages) {
		do[*command.Done](f, &command.Stage{Stage: command.StageID{Node: "n", Epoch: 1, N: n}, Payload: []byte("x")})
	}
	f.refused(rookery.KindLimit, &command.Stage{Stage: command.StageID{Node: "n", Epoch: 1, N: MaxStages}, Payload: []byte("x")})
	do[*command.Done](f, &command.Stage{Stage: command.StageID{Node: "m", Epoch: 1}, Payload: []byte("x")})
}

func TestDeliveryFallsBackToInbox(t *testing.T) {
	f, a := newAccount(t, 0)
	gone := do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "a"}).Mailbox
	do[*command.Done](f, &command.DeleteMailbox{Account: a, Name: "a"})
	to := func(strict bool) func(*command.Deliver) {
		return func(c *command.Deliver) { c.Deliveries[0].Mailbox, c.Deliveries[0].Strict = gone, strict }
	}
	if d := f.deliver(a, 1, to(false)); !d.OK || d.Mailbox != Inbox {
		t.Errorf("%+v", d)
	}
	if d := f.deliver(a, 2, to(true)); d.Kind != rookery.KindNotFound {
		t.Errorf("%+v", d)
	}
}

func TestItemKeepsItsBodyAndIsFiledOnce(t *testing.T) {
	f, a := newAccount(t, 0)
	id := command.ItemID{1}
	item := &command.Item{ID: id, Kind: command.Message, Rows: []command.ItemRow{
		{Kind: command.ToGroup, Group: 3, Deliveries: []command.Delivery{{Account: accountID(5)}}}, {Kind: command.ToGroup, Group: 4}}}
	f.deliver(a, 1, func(c *command.Deliver) { c.Item = item })
	body := BodyID(f.index)
	do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.New(1), Force: true})
	do[*command.PurgeResult](f, &command.PurgeExpunged{Account: a, Before: f.clock + 1e9})
	o, err := f.m.Owed(queue.Ref{Item: id})
	if err != nil || o.Body.ID != body || o.Header.Email != emailID(1) || string(o.Extract) != "extract" {
		t.Fatalf("%+v %v", o, err)
	}
	if d := cmp.Diff(item.Rows[0], o.Row.ItemRow, cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })); d != "" {
		t.Error(d)
	}
	do[*command.Done](f, &command.ItemResult{Item: id})
	if _, err := f.m.Owed(queue.Ref{Item: id}); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("the row stays: %v", err)
	}
	if o, err := f.m.Owed(queue.Ref{Item: id, N: 1}); err != nil || o.Row.Group != 4 {
		t.Errorf("%+v %v", o, err)
	}
	do[*command.Done](f, &command.ItemResult{Item: id, Row: 1})
	do[*command.Done](f, &command.ItemResult{Item: id, Row: 1})
	if _, err := f.m.Body(body); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("the item's body stays: %v", err)
	}
	// The other side.
	from := func(c *command.Deliver) { c.FromItem = &id }
	one, two := f.deliver(a, 2, from), f.deliver(a, 2, from)
	if one != two || f.mailbox(a, Inbox).Messages != 1 {
		t.Errorf("%+v %+v", one, two)
	}
	if filed, _ := f.m.Filed(command.ItemID{}, 9); len(filed) != 1 || filed[0] != id {
		t.Errorf("%v", filed)
	}
	do[*command.Done](f, &command.ItemForget{Item: id})
	if filed, _ := f.m.Filed(command.ItemID{}, 9); len(filed) != 0 {
		t.Errorf("%v", filed)
	}
	f.refused(rookery.KindInvalid, &command.Deliver{Email: emailID(3), Item: &command.Item{ID: id, Kind: command.Message}})
}

func TestPackLife(t *testing.T) {
	f, a := newAccount(t, 0)
	f.deliver(a, 1)
	b1 := BodyID(f.index)
	f.deliver(a, 2)
	b2 := BodyID(f.index)
	do[*command.Done](f, &command.Packed{Pack: "p1", Size: 50,
		Bodies: []command.PackedBody{{Body: b1, Off: 0, Len: 6}, {Body: b2, Off: 6, Len: 6}, {Body: 9999, Off: 12, Len: 1}}})
	packs, err := f.m.Packs("", 10)
	if p := packs[0]; err != nil || p.State != PackLive || p.Total != 13 || p.Live != 12 || p.Bodies != 3 || p.LiveBodies != 2 ||
		p.Created == 0 {
		t.Errorf("%+v %v", packs, err)
	}
	do[*command.Done](f, &command.Packed{Pack: "p2", Size: 50, Bodies: []command.PackedBody{{Body: b2, Off: 1, Len: 6}}})
	if b, _ := f.m.Body(b2); b.Pack[0] != (PackPiece{"p2", 1, 6}) || len(b.Log) != 1 {
		t.Errorf("%+v", b)
	}
	f.refused(rookery.KindConflict, &command.PackDead{Pack: "p1"})
	f.refused(rookery.KindConflict, &command.PackDeleted{Pack: "p1"})
	do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.New(1), Force: true})
	f.refused(rookery.KindConflict, &command.PackDead{Pack: "p1"})
	do[*command.PurgeResult](f, &command.PurgeExpunged{Account: a, Before: f.clock + 1e9})
	do[*command.Done](f, &command.PackDead{Pack: "p1"})
	f.refused(rookery.KindConflict, &command.PackForget{Pack: "p1"})
	do[*command.Done](f, &command.PackDeleted{Pack: "p1"})
	do[*command.Done](f, &command.PackForget{Pack: "p1"})
	f.refused(rookery.KindNotFound, &command.PackDead{Pack: "p1"})
	for _, bad := range []command.Packed{{Pack: "", Size: 1}, {Pack: "x", Size: 5, Bodies: []command.PackedBody{{Body: b2, Off: 3, Len: 3}}},
		{Pack: "x", Size: 5, Bodies: []command.PackedBody{{Body: b2, Off: -1, Len: 3}}},
		{Pack: "x", Size: 5, Bodies: []command.PackedBody{{Body: b2, Len: 1}, {Body: b2, Len: 1}}}} {
		f.refused(rookery.KindInvalid, &bad)
	}
}

func TestSharedBodyLivesWithItsLastEmail(t *testing.T) {
	f, a := newAccount(t, 0)
	b := accountID(2)
	do[*command.AccountResult](f, &command.CreateAccount{Account: b})
	f.deliver(a, 1, func(c *command.Deliver) {
		c.Deliveries = append(c.Deliveries, command.Delivery{Account: b, WrappedKey: []byte("other")})
	})
	body := BodyID(f.index)
	do[*command.CopyResult](f, &command.Copy{Account: a, From: Inbox, To: 2, UIDs: uidset.New(1)})
	do[*command.Done](f, &command.EraseAccount{Account: a})
	f.refused(rookery.KindNotFound, &command.SetQuota{Account: a})
	v := f.view(b)
	e, err := v.Email(emailID(1))
	if err != nil || e.Body != body || string(e.Key) != "other" {
		t.Errorf("%+v %v", e, err)
	}
	v.Close()
	do[*command.Done](f, &command.EraseAccount{Account: b})
	do[*command.Done](f, &command.EraseAccount{Account: b})
	if got := f.tables(); len(got) != 0 {
		t.Errorf("rows left: %v", got)
	}
	do[*command.AccountResult](f, &command.CreateAccount{Account: b})
}

func TestEraseWhileALargeMailboxIsReaped(t *testing.T) {
	f, a := newAccount(t, 0)
	box := do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "big"}).Mailbox
	for i := range command.MaxBatch + 300 {
		f.deliver(a, i+1, func(c *command.Deliver) { c.Deliveries[0].Mailbox = box })
	}
	do[*command.Done](f, &command.DeleteMailbox{Account: a, Name: "big"})
	do[*command.Done](f, &command.EraseAccount{Account: a})
	f.refused(rookery.KindConflict, &command.CreateAccount{Account: a})
	for i := 0; len(f.tables()) > 0; i++ {
		switch {
		case i == 3:
			f.restore()
		case i > 100:
			t.Fatalf("rows left: %v", f.tables())
		}
		// It meets entries of an account that is going.
		do[*command.PurgeResult](f, &command.PurgeExpunged{Account: a, Before: f.clock})
	}
}

func TestPurgeFinishesGraves(t *testing.T) {
	f, a := newAccount(t, 0)
	for i := range 2*command.MaxBatch + 300 {
		f.deliver(a, i+1)
	}
	do[*command.Done](f, &command.EraseAccount{Account: a})
	for n := 1; ; n++ {
		r := do[*command.PurgeResult](f, &command.PurgeExpunged{Account: a, Before: 1})
		if r.Purged != 0 || n > 3 {
			t.Fatalf("%+v after %d", r, n)
		}
		if !r.More {
			break
		}
	}
	if got := f.tables(); len(got) != 0 {
		t.Errorf("rows left: %v", got)
	}
}

// FuzzApply gives the machine mutated commands: it must answer each, never
// panic, and stay readable.
func FuzzApply(f *testing.F) {
	a := accountID(1)
	since := rookery.ModSeq(3)
	id := command.StageID{Node: "n", Epoch: 1}
	item := command.ItemID{1}
	for _, c := range []command.Command{
		&command.CreateAccount{Account: accountID(2), Roles: command.DefaultRoles(), Quota: 9, Validity: 9},
		&command.SetQuota{Account: a, Quota: 5}, &command.CreateMailbox{Account: a, Name: "x/y", Role: `\Important`},
		&command.DeleteMailbox{Account: a, Name: "Drafts"}, &command.RenameMailbox{Account: a, From: "inbox", To: "Archive/x"},
		&command.Subscribe{Account: a, Name: "x", On: true},
		&command.Deliver{Email: emailID(9), Size: 3,
			Deliveries: []command.Delivery{{Account: a, Mailbox: 2, Keywords: []string{"k"}, Threads: [][8]byte{{1}}, UIDL: "u"}},
			Item:       &command.Item{ID: item, Kind: command.Message, Rows: []command.ItemRow{{Kind: command.ToGroup, Group: 3}}},
			FromItem:   &item, Payload: []byte("b")},
		&command.Deliver{Email: emailID(9), Staged: &command.Staged{Stage: id, Parts: 1}, Deliveries: []command.Delivery{{Account: a}}},
		&command.Stage{Stage: id, Part: 1, Payload: []byte("x")}, &command.Abandon{Stage: id, Epoch: true}, &command.ForgetNode{Node: "n"},
		&command.StoreFlags{Account: a, Mailbox: 1, UIDs: uidset.Range(1, 9), Mode: 2, Flags: 1, Keywords: []string{"q"},
			UnchangedSince: &since},
		&command.Expunge{Account: a, Mailbox: 1, All: true, Force: true}, &command.Copy{Account: a, From: 1, To: 1, UIDs: uidset.Range(1, 9)},
		&command.Move{Account: a, From: 1, To: 2, UIDs: uidset.Range(1, 9)}, &command.PurgeExpunged{Account: a, Before: 1 << 62},
		&command.Recover{Account: a, To: 1, Messages: []command.ExpungedID{{ModSeq: 5, UID: 3}}},
		&command.Packed{Pack: "p", Size: 10, Bodies: []command.PackedBody{{Body: 2, Len: 3}}}, &command.PackDead{Pack: "q"},
		&command.PackDeleted{Pack: "q"}, &command.PackForget{Pack: "q"},
		&command.ItemResult{Item: item}, &command.ItemForget{Item: item}, &command.EraseAccount{Account: a},
	} {
		f.Add(command.Encode(c), command.Encode(&command.EraseAccount{Account: a}))
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		x, a := newAccount(t, 1000)
		for i := range 3 {
			x.deliver(a, i+1, func(c *command.Deliver) { c.Deliveries[0].Keywords = []string{"kw"} })
		}
		do[*command.ExpungeResult](x, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.New(3), Force: true})
		do[*command.Done](x, &command.Stage{Stage: command.StageID{Node: "n", Epoch: 1}, Payload: []byte("x")})
		for _, cmd := range [][]byte{one, two, one} {
			if len(x.raw(cmd)) == 0 {
				t.Fatal("no result")
			}
		}
		accounts, err := x.m.Accounts(rookery.AccountID{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, acc := range accounts {
			v := x.view(acc.ID)
			all, err := v.Mailboxes()
			if err != nil {
				t.Fatal(err)
			}
			var size int64
			for _, m := range all {
				n := uint32(0)
				if err := v.Rows(m.ID, 1, 0xffffffff, func(r Row) bool {
					n++
					size += r.Size
					if e, err := v.Email(r.Email); err != nil {
						t.Fatal(e, err)
					}
					return true
				}); err != nil || n != m.Messages {
					t.Fatalf("%d rows in %+v %v", n, m, err)
				}
			}
			if size != v.Account().UsedBytes {
				t.Fatalf("%d bytes, %+v", size, v.Account())
			}
			v.Close()
		}
		x.store.Close()
		x.open("state")
	})
}
