package mailbox

import (
	"slices"
	"testing"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/habit"
	"rookery/storage/tables"
)

const oneMove = command.MoveID(7)

// leavingFrom begins a move of an account out of a fixture's group.
func leavingFrom(t *testing.T) (*fixture, rookery.AccountID, *command.MoveOutResult) {
	f, a := newAccount(t, 0)
	f.deliver(a, 1)
	return f, a, do[*command.MoveOutResult](f, &command.MoveOut{Account: a, Move: oneMove, To: 3})
}

func (f *fixture) freeze(a rookery.AccountID, turn command.MoveTurn) {
	f.t.Helper()
	do[*command.Done](f, &command.MoveFreeze{Account: a, Move: oneMove, Turn: turn})
}

// Every command and view of an account that is on its way is temporary, and
// changes nothing.
func TestFrozenAccountAnswersMoved(t *testing.T) {
	f, a, out := leavingFrom(t)
	f.freeze(a, out.Turn)
	before := f.dump()
	item := command.ItemID{1}
	for _, c := range []command.Command{
		&command.CreateAccount{Account: a}, &command.SetQuota{Account: a}, &command.EraseAccount{Account: a},
		&command.CreateMailbox{Account: a, Name: "x"}, &command.DeleteMailbox{Account: a, Name: "Drafts"},
		&command.RenameMailbox{Account: a, From: "Drafts", To: "y"}, &command.Subscribe{Account: a, Name: "z", On: true},
		&command.StoreFlags{Account: a, Mailbox: Inbox}, &command.Expunge{Account: a, Mailbox: Inbox, All: true, Force: true},
		&command.Copy{Account: a, From: Inbox, To: Inbox}, &command.Move{Account: a, From: Inbox, To: Inbox},
		&command.Recover{Account: a, To: Inbox},
		&command.Deliver{Email: emailID(2), Deliveries: []command.Delivery{{Account: accountID(5)}, {Account: a}}},
		&command.Deliver{Email: emailID(2), FromItem: &item, Deliveries: []command.Delivery{{Account: a}}},
	} {
		f.refused(rookery.KindMoved, c)
	}
	if _, err := f.m.View(a); !rookery.Is(err, rookery.KindMoved) {
		t.Errorf("view: %v", err)
	}
	if p := do[*command.PurgeResult](f, &command.PurgeExpunged{Account: a, Before: f.clock + 1e18}); p.Purged > 0 || p.More {
		t.Errorf("a frozen account was purged: %+v", p)
	}
	do[*command.Done](f, &command.ItemForget{Item: item})
	after := f.dump()
	if len(before) != len(after) {
		t.Errorf("%d rows became %d", len(before), len(after))
	}
	do[*command.Done](f, &command.MoveStop{Account: a, Move: oneMove})
	f.deliver(a, 2)
	if n := len(f.rows(a, Inbox)); n != 2 {
		t.Errorf("%d messages after the move was given up", n)
	}
	f.refused(rookery.KindConflict, &command.MoveOut{Account: a, Move: oneMove, To: 3}) // late
}

func TestMoveTurnsFence(t *testing.T) {
	f, a, first := leavingFrom(t)
	second := do[*command.MoveOutResult](f, &command.MoveOut{Account: a, Move: oneMove, To: 3})
	if second.Turn <= first.Turn {
		t.Fatalf("turn %d after %d", second.Turn, first.Turn)
	}
	f.refused(rookery.KindConflict, &command.MoveFreeze{Account: a, Move: oneMove, Turn: first.Turn})
	f.refused(rookery.KindConflict, &command.MoveCopied{Account: a, Move: oneMove, Turn: first.Turn, Shadow: 1, Index: 1 << 40,
		Upto: []byte{0xff}})
	f.deliver(a, 2)
	if x := f.m.Export(a); pending(t, x) == 0 {
		t.Error("a change is not marked")
	}
	f.refused(rookery.KindConflict, &command.MoveOut{Account: a, Move: oneMove - 1, To: 3})
	f.refused(rookery.KindConflict, &command.ImportBegin{Account: a, Move: oneMove, Turn: 1, From: 3})
	// A leftover of a move that is over goes with the next one.
	do[*command.MoveOutResult](f, &command.MoveOut{Account: a, Move: oneMove + 1, To: 4})
	if x := f.m.Export(a); pending(t, x) != 0 {
		t.Error("the marks of an old move stay")
	}
}

func pending(t *testing.T, x *Export) int {
	t.Helper()
	defer x.Close()
	n, err := x.Pending(1000)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A malformed row is refused whole, before anything of the command is done.
func TestImportChecksRows(t *testing.T) {
	f := openFixture(t)
	a := accountID(9)
	begun := do[*command.ImportBegun](f, &command.ImportBegin{Account: a, Move: oneMove, Turn: 5, From: 3})
	if begun.Shadow == 0 {
		t.Fatal("no copy")
	}
	before := f.dump()
	good := command.ImportRow{Key: append([]byte{tableName}, "x"...), Value: []byte{0, 0, 0, 1}}
	for _, r := range []command.ImportRow{
		{Key: nil}, {Key: []byte{tableRow}}, {Key: []byte{tableAccount, 1}, Value: []byte{1}}, {Key: []byte{tableBody, 1}, Value: []byte{1}},
		{Key: []byte{tableMailbox, 0, 0, 0, 1}, Value: []byte{9}}, {Key: []byte{tableRow, 0, 0, 0, 1, 0, 0, 0, 1}, Value: []byte("short")},
		{Key: []byte{tableCounters, 0, 0, 0, 1}, Value: []byte{1}}, {Key: []byte{tableRow, 1}, Gone: true},
		{Key: append([]byte{tableExpunged}, make([]byte, 12)...), Value: []byte{0xff}}, {Key: good.Key, Value: []byte{1}, Gone: true},
		{Key: append([]byte{tableEmail}, make([]byte, 16)...), Value: (&email{refs: 1, body: 3}).encode()},
	} {
		f.refused(rookery.KindInvalid, &command.Import{Account: a, Move: oneMove, Turn: 5, Rows: []command.ImportRow{good, r}})
	}
	f.refused(rookery.KindInvalid, &command.Import{Account: a, Move: oneMove, Turn: 5, Clear: [][]byte{{tablePack}}})
	f.refused(rookery.KindConflict, &command.Import{Account: a, Move: oneMove, Turn: 4, Rows: []command.ImportRow{good}})
	f.refused(rookery.KindNotFound, &command.Import{Account: a, Move: oneMove + 1, Turn: 5, Rows: []command.ImportRow{good}})
	if len(f.dump()) != len(before) {
		t.Error("a refused import left rows")
	}
	do[*command.ImportResult](f, &command.Import{Account: a, Move: oneMove, Turn: 5, Rows: []command.ImportRow{good}})
	f.refused(rookery.KindDamaged, &command.ImportSeal{Account: a, Move: oneMove, Turn: 5, Record: (&account{}).encode(), Rows: 2})
	f.refused(rookery.KindConflict, &command.Activate{Account: a, Move: oneMove})
	f.refused(rookery.KindMoved, &command.CreateAccount{Account: a})
}

// After a lost majority a copy that grows is made anew, and frozen and sealed
// accounts jump like those that serve.
func TestJumpSeesToMoves(t *testing.T) {
	f, a, out := leavingFrom(t)
	do[*command.Done](f, &command.MoveCopied{Account: a, Move: oneMove, Turn: out.Turn, Shadow: 33, Cursor: []byte{0xff}})
	v := f.view(a)
	modseq := v.Account().ModSeq
	v.Close()
	uidnext := f.mailbox(a, Inbox).UIDNext
	f.freeze(a, out.Turn)
	b := accountID(9)
	do[*command.ImportBegun](f, &command.ImportBegin{Account: b, Move: oneMove, Turn: 5, From: 3})
	do[*command.ImportResult](f, &command.Import{Account: b, Move: oneMove, Turn: 5,
		Rows: []command.ImportRow{{Key: append([]byte{tableName}, "x"...), Value: []byte{0, 0, 0, 1}}}})
	c := accountID(10)
	do[*command.ImportBegun](f, &command.ImportBegin{Account: c, Move: oneMove, Turn: 5, From: 3})
	do[*command.Done](f, &command.ImportSeal{Account: c, Move: oneMove, Turn: 5, Record: (&account{Account: Account{ModSeq: 4}}).encode()})
	do[*command.Done](f, &command.Jump{Recovery: "r", UIDs: 100, ModSeqs: 1000, Mailboxes: 10})

	f.refused(rookery.KindNotFound, &command.Import{Account: b, Move: oneMove, Turn: 5})
	if _, err := f.m.View(b); !rookery.Is(err, rookery.KindMoved) {
		t.Errorf("an account whose copy was dropped: %v", err)
	}
	f.purge(0)
	do[*command.ImportBegun](f, &command.ImportBegin{Account: b, Move: oneMove, Turn: 5, From: 3})

	again := do[*command.MoveOutResult](f, &command.MoveOut{Account: a, Move: oneMove, To: 3})
	if again.Shadow != 0 || again.Cursor != nil || !again.Frozen {
		t.Errorf("after a jump the copy goes on where it was: %+v", again)
	}
	do[*command.Done](f, &command.MoveStop{Account: a, Move: oneMove})
	v = f.view(a)
	defer v.Close()
	if got := v.Account().ModSeq; got != modseq+1000 {
		t.Errorf("MODSEQ %d after %d, want a jump", got, modseq)
	}
	if got := f.mailbox(a, Inbox).UIDNext; got != uidnext+100 {
		t.Errorf("UIDNEXT %d after %d, want a jump", got, uidnext)
	}
	do[*command.Done](f, &command.Activate{Account: c, Move: oneMove})
	w := f.view(c)
	defer w.Close()
	if got := w.Account().ModSeq; got != 1004 {
		t.Errorf("MODSEQ %d of a sealed account, want 1004", got)
	}
}

// A jump of counters alone leaves a copy as it is, so that entries behind it can
// finish the move; what is frozen or sealed jumps.
func TestJumpOfCountersLetsMovesEnd(t *testing.T) {
	f, a, out := leavingFrom(t)
	do[*command.Done](f, &command.MoveCopied{Account: a, Move: oneMove, Turn: out.Turn, Shadow: 33, Cursor: []byte{0xff}})
	f.freeze(a, out.Turn)
	uidnext := func() (n rookery.UID) {
		do[*command.Done](f, &command.MoveStop{Account: a, Move: oneMove})
		return f.mailbox(a, Inbox).UIDNext
	}
	b := accountID(9)
	do[*command.ImportBegun](f, &command.ImportBegin{Account: b, Move: oneMove, Turn: 5, From: 3})
	do[*command.Done](f, &command.Jump{Recovery: "r", UIDs: 100, ModSeqs: 1000, Mailboxes: 10, CountersOnly: true})

	do[*command.Done](f, &command.ImportSeal{Account: b, Move: oneMove, Turn: 5, Record: (&account{Account: Account{ModSeq: 4}}).encode()})
	again := do[*command.MoveOutResult](f, &command.MoveOut{Account: a, Move: oneMove, To: 3})
	if again.Shadow != 33 || !again.Frozen {
		t.Errorf("the jump changed the move: %+v", again)
	}
	do[*command.Done](f, &command.Jump{Recovery: "r", UIDs: 100, ModSeqs: 1000, Mailboxes: 10})
	do[*command.Done](f, &command.Activate{Account: b, Move: oneMove})
	v := f.view(b)
	defer v.Close()
	if got := v.Account().ModSeq; got != 1004 {
		t.Errorf("MODSEQ %d of the account that was sealed between, want 1004", got)
	}
	if got := uidnext(); got < 201 {
		t.Errorf("UIDNEXT %d of the frozen account, want two jumps", got)
	}
}

// An item that was filed by a command of the time before accounts moved is
// filed once, too.
func TestEachKnowsOlderMarks(t *testing.T) {
	f, a := newAccount(t, 0)
	b := accountID(2)
	do[*command.AccountResult](f, &command.CreateAccount{Account: b, Key: []byte("k")})
	item := command.ItemID{1}
	c := &command.Deliver{Email: emailID(1), Size: 5, Payload: []byte("body"), FromItem: &item, Deliveries: []command.Delivery{{Account: a}}}
	do[*command.DeliverResult](f, c)
	c.Deliveries = append(c.Deliveries, command.Delivery{Account: b})
	for range 2 {
		r := do[*command.DeliverResult](f, c)
		if !r.Filed[0].OK || !r.Filed[1].OK {
			t.Fatalf("%+v", r)
		}
	}
	if n, m := len(f.rows(a, Inbox)), len(f.rows(b, Inbox)); n != 1 || m != 1 {
		t.Errorf("filed %d and %d times", n, m)
	}
	if ids, err := f.m.Filed(command.ItemID{}, 9); len(ids) != 1 || err != nil {
		t.Errorf("%v %v", ids, err)
	}
	do[*command.Done](f, &command.ItemForget{Item: item})
	if ids, err := f.m.Filed(command.ItemID{}, 9); len(ids) != 0 || err != nil {
		t.Errorf("%v %v", ids, err)
	}
	if n := f.tables()[tableFiledFor]; n > 0 {
		t.Errorf("%d marks left", n)
	}
}

// What an account sends to other systems goes with it, though its row has no key
// but the account's: an account that is held for it stays so.
func TestHabitMoves(t *testing.T) {
	f := openFixture(t)
	a := accountID(9)
	do[*command.ImportBegun](f, &command.ImportBegin{Account: a, Move: oneMove, Turn: 5, From: 3})
	row := command.ImportRow{Key: []byte{tableHabit}, Value: tables.Encode(&habit.Record{Hour: 1, Sent: 9, Held: true})}
	do[*command.ImportResult](f, &command.Import{Account: a, Move: oneMove, Turn: 5, Rows: []command.ImportRow{row}})
	if ids, err := f.m.Unusual(9); err != nil || !slices.Equal(ids, []rookery.AccountID{a}) {
		t.Errorf("unusual are %v, %v", ids, err)
	}
}
