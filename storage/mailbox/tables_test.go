package mailbox

import (
	"context"
	"strings"
	"testing"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
	"rookery/storage/uidset"
)

func TestEveryTableIsDeclared(t *testing.T) {
	if missing := join().Incomplete(); len(missing) > 0 {
		t.Errorf("%s", strings.Join(missing, "\n"))
	}
}

// full is an account with a row in every table that accounts own, on its way
// to group 3 with a part of it copied.
func full(t *testing.T) (*fixture, rookery.AccountID, *command.MoveOutResult) {
	f, a := newAccount(t, 0)
	do[*command.Done](f, &command.MoveStop{Account: a, Move: oneMove - 1})
	for n := range 4 {
		f.deliver(a, n+1, func(c *command.Deliver) {
			c.FromItem = &command.ItemID{byte(n)}
			c.Deliveries[0].Threads = [][8]byte{{1}}
		})
	}
	do[*command.DayKeyResult](f, &command.SetDayKey{Day: 1, Key: under(3, 9)})
	f.deliver(a, 9, func(c *command.Deliver) {
		c.Item = &command.Item{ID: command.ItemID{9}, Kind: command.Message, Day: 1, Account: a, Rate: &command.Rate{Surprise: 1}}
		for n := range 2 {
			c.Item.Rows = append(c.Item.Rows, command.ItemRow{Kind: command.ToRemote, Recipient: []byte{byte(n + 1)}})
		}
	})
	do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "x"})
	do[*command.Done](f, &command.DeleteMailbox{Account: a, Name: "x"})
	f.purge(0)
	do[*command.Done](f, &command.BeginRestore{Account: a, Job: command.RestoreID{1}})
	do[*command.Done](f, &command.EndRestore{Account: a, Job: command.RestoreID{1}, Outcome: command.RestoreDone})
	out := do[*command.MoveOutResult](f, &command.MoveOut{Account: a, Move: oneMove, To: 3})
	do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.New(1), Force: true})
	return f, a, out
}

// of lists the tables with rows whose key or travelling name has an account.
func (f *fixture) of(a rookery.AccountID) map[byte]int {
	n := map[byte]int{}
	for k := range f.dump() {
		if strings.Contains(k, string(a[:])) {
			n[k[0]]++
		}
	}
	return n
}

func TestFullIsInEveryTableOfAccounts(t *testing.T) {
	f, a, _ := full(t)
	has := f.of(a)
	for _, x := range f.m.parts.All() {
		if x.Owner == tables.OfAccount && has[x.ID] == 0 && x.ID != tableGrave {
			t.Errorf("no row of table %#x (%s): extend this test's account", x.ID, x.Name)
		}
	}
}

func TestAnErasureLeavesNothing(t *testing.T) {
	f, a, _ := full(t)
	do[*command.Done](f, &command.EraseAccount{Account: a})
	for i := 0; f.tables()[tableGrave] > 0; i++ {
		if i > 100 {
			t.Fatal("the rows never end")
		}
		f.purge(0)
	}
	if left := f.of(a); len(left) > 0 {
		t.Errorf("rows left, by table: %v", left)
	}
}

// Everything travels but what says that the account has gone.
func TestAMoveLeavesNothing(t *testing.T) {
	f, a, out := full(t)
	for range 2 { // the rows of the deleted mailbox
		f.purge(0)
	}
	f.freeze(a, out.Turn)
	travels := map[byte]bool{}
	x := f.m.Export(a)
	rows, err := x.Rows(nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		travels[r.Key[0]] = true
	}
	if n, _, err := x.Digest(context.Background()); int(n) != len(rows) || err != nil {
		t.Errorf("%d rows counted of %d: %v", n, len(rows), err)
	}
	x.Close()
	for _, x := range f.m.parts.All() {
		if x.Owner == tables.OfAccount && x.Travels == tables.Copied && !travels[x.ID] {
			t.Errorf("table %#x (%s) did not travel", x.ID, x.Name)
		}
	}
	do[*command.Done](f, &command.MoveGone{Account: a, Move: oneMove})
	for i := 0; f.tables()[tableGrave] > 0 && i < 100; i++ {
		f.purge(0)
	}
	if left := f.of(a); len(left) != 1 || left[tableMoved] != 1 {
		t.Errorf("rows left, by table: %v", left)
	}
}

// A table that one file declares travels and goes with its account, although no
// code of moves or erasures names it.
func TestATableTravelsBecauseItIsDeclared(t *testing.T) {
	const tableNote byte = 0xf0
	f, a, _ := full(t)
	notes := part{
		Tables: []tables.Table{
			{ID: tableNote, Name: "note",
				Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.WithAccount, Erased: tables.AtOnce,
				Key: tables.Exactly(0), Check: tables.Length(4)},
		},
		Handlers: handlers{tables.On(func(w *work, c *command.Jump) (command.Result, error) {
			w.Set(accountKey(tableNote, a), key(nil).U32(c.UIDs))
			return &command.Done{}, nil
		})},
	}
	f.join = func() *tables.Parts[*work] {
		return tables.Join("a test", notes, accountPart, folderPart, messagePart, deliveryPart, expungedPart, stagePart, bodyPart,
			gravePart, filedPart, leavingPart)
	}
	f.reopen()
	do[*command.Done](f, &command.Jump{UIDs: 7})
	x := f.m.Export(a)
	marks, err := x.Marks(1 << 20)
	if err != nil || len(marks.Rows) == 0 || marks.Rows[len(marks.Rows)-1].Key[0] != tableNote {
		t.Errorf("the note is not marked as changed: %v %v", marks, err)
	}
	rows, err := x.Rows([]byte{tableNote - 1}, 1<<20)
	if err != nil || len(rows) != 1 || rows[0].Key[0] != tableNote || len(rows[0].Value) != 4 {
		t.Errorf("the note does not travel: %v %v", rows, err)
	}
	x.Close()
	do[*command.Done](f, &command.EraseAccount{Account: a})
	if n := f.tables()[tableNote]; n > 0 {
		t.Error("the note of an erased account is still there")
	}
}
