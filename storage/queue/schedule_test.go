package queue

import (
	"testing"
	"time"

	"rookery"
	"rookery/storage/command"
)

// later schedules an item with a row of either kind.
func later(at int64, account byte) func(*command.Item) {
	return func(c *command.Item) {
		c.Scheduled, c.Account, c.MostScheduled = at, rookery.AccountID{account}, 2
		c.Rows = append(c.Rows, command.ItemRow{Kind: command.ToGroup, Group: 4, Deliveries: []command.Delivery{{Mailbox: 7}}})
	}
}

// The log orders cancelling and filing: what is for accounts of this cluster can
// be stopped until it is time, and not after.
func TestScheduledCanBeStoppedUntilItIsTime(t *testing.T) {
	w := newRows()
	w.remote(t, 1, 1, later(100, 1))
	w.remote(t, 2, 1, later(100, 1))
	if due := w.due(t); len(due) > 0 {
		t.Errorf("due before its time: %v", due)
	}
	if done := w.steer(t, command.HoldRow, ref(1, 0), ref(1, 1)); !done[0] || !done[1] {
		t.Errorf("held %v", done)
	}
	w.now = 100
	if due := w.due(t); len(due) != 1 || due[0] != ref(2, 0) {
		t.Errorf("due are %v, want the one that is not held", due)
	}
	if done := w.steer(t, command.CancelRow, ref(1, 1), ref(2, 1)); !done[0] || done[1] {
		t.Errorf("cancelled %v, want the held one alone: the other may be filed by now", done)
	}
}

// What is scheduled is counted for each account, and counts no more once it is
// time or ended.
func TestScheduledIsCountedByAccount(t *testing.T) {
	w := newRows()
	w.remote(t, 1, 1, later(100, 1))
	w.remote(t, 2, 1, later(200, 1))
	w.remote(t, 3, 1, later(100, 2))
	more := func() error {
		c := &command.Item{ID: command.ItemID{9}, Kind: command.Message, Day: today}
		later(300, 1)(c)
		return Check(w, c)
	}
	if err := more(); !rookery.Is(err, rookery.KindLimit) {
		t.Errorf("the third: %v", err)
	}
	w.now = 100
	if err := more(); err != nil {
		t.Errorf("where it is time for the first: %v", err)
	}
	w.now = 1
	w.steer(t, command.CancelRow, ref(2, 0), ref(2, 1))
	if err := more(); err != nil {
		t.Errorf("where the second has ended: %v", err)
	}
	c := &command.Item{ID: command.ItemID{9}, Kind: command.Message, Day: today}
	later(int64(101*24*time.Hour), 1)(c)
	if err := Check(w, c); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("far ahead: %v", err)
	}
}
