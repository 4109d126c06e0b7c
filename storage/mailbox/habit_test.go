package mailbox

import (
	"testing"
	"time"

	"rookery"
	"rookery/storage/command"
)

// sends has an account send to n recipients in other systems.
func (f *fixture) sends(a rookery.AccountID, id byte, n int, rate command.Rate) *command.Deliver {
	c := &command.Deliver{Email: emailID(int(id)), Size: 1, Extract: []byte("x"), Layout: []byte("l"), Payload: []byte("body"),
		Item: &command.Item{ID: command.ItemID{id}, Kind: command.Message, Day: 1, Account: a, Rate: &rate}}
	for i := range n {
		c.Item.Rows = append(c.Item.Rows, command.ItemRow{Kind: command.ToRemote, Recipient: []byte{byte(i + 1)}})
	}
	return c
}

// What an account may send and the item are decided in one entry: past the bound
// nothing is accepted, and what is unusual is accepted and held until an
// administrator lets the account send.
func TestWhatAnAccountSendsIsDecidedWithItsItem(t *testing.T) {
	f, a := newAccount(t, 0)
	do[*command.DayKeyResult](f, &command.SetDayKey{Day: 1, Key: under(3, 9)})
	rate := command.Rate{Most: 10, Surprise: 5}
	items := func() int {
		ids, err := f.m.OpenItems(command.ItemID{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(ids)
	}
	unusual := func() int {
		ids, err := f.m.Unusual(9)
		if err != nil {
			t.Fatal(err)
		}
		return len(ids)
	}
	if r := do[*command.DeliverResult](f, f.sends(a, 1, 5, rate)); r.Again != 0 || r.Unusual || unusual() != 0 {
		t.Errorf("5 of 10: %+v", r)
	}
	if r := do[*command.DeliverResult](f, f.sends(a, 2, 3, rate)); r.Again != 0 || !r.Unusual || unusual() != 1 {
		t.Errorf("8, where 0 are usual and 5 no surprise: %+v", r)
	}
	r := do[*command.DeliverResult](f, f.sends(a, 3, 3, rate))
	if r.Again <= f.m.Time() || r.Again > f.m.Time()+int64(time.Hour) || r.Body != 0 || items() != 2 {
		t.Errorf("11 of 10: %+v with %d items, want nothing done and the next hour", r, items())
	}
	f.reopen()
	if unusual() != 1 {
		t.Error("the hold is forgotten with a restart")
	}
	do[*command.Done](f, &command.LetSend{Account: a})
	if r := do[*command.DeliverResult](f, f.sends(a, 4, 1, rate)); r.Unusual || unusual() != 0 {
		t.Errorf("after an administrator let it go: %+v", r)
	}
	f.refused(rookery.KindNotFound, f.sends(rookery.AccountID{99}, 5, 1, rate))
}
