package queue

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

const laterLength = 16 + 8 + 16

func laterKey(account rookery.AccountID, at int64, id command.ItemID) tables.Key {
	return append(laterOf(account).U64(uint64(at)), id[:]...)
}

func laterOf(account rookery.AccountID) tables.Key {
	return append(tables.NewKey(tableLater), account[:]...)
}

// Waits reports whether a row is scheduled for later than now, group time. Until
// then its sender may still cancel it.
func (r *Row) Waits(now int64) bool { return r.Scheduled > now }

// MayStop reports whether a row is to be stopped where its sender's account is
// disabled: it was scheduled, it is time for it now, group time, and it was neither
// stopped nor tried before.
func (r *Row) MayStop(now int64) bool {
	return r.Scheduled != 0 && !r.Waits(now) && !r.Stopped && r.Tries == 0
}

// Since is when the message of a row was there to be sent, unix nanoseconds: its
// age counts from then.
func (h *Header) Since(r *Row) int64 { return max(h.Time, r.Scheduled) }

// checkSchedule refuses an item that is scheduled too far ahead, or for an account
// that has too many of them.
func checkSchedule(w Work, c *command.Item) error {
	switch {
	case c.Scheduled == 0:
		return nil
	case c.Scheduled < 0 || c.Scheduled-w.Time() > maxDelay || c.Delay != 0:
		return tables.Refuse(rookery.KindInvalid, "the item is scheduled for a time that is out of range")
	case c.Account == rookery.AccountID{}:
		return tables.Refuse(rookery.KindInvalid, "the scheduled item has no account")
	}
	if n := waiting(w, c.Account, c.MostScheduled); c.MostScheduled > 0 && n >= c.MostScheduled {
		return tables.Refuse(rookery.KindLimit, "the account has %d scheduled messages, at most that many", n)
	}
	return nil
}

// waiting counts the scheduled items of an account that are not due yet, up to most.
func waiting(w Work, account rookery.AccountID, most uint32) (n uint32) {
	of := laterOf(account)
	w.Scan(of, func(k, _ []byte) bool {
		if int64(tables.U64At(k, len(of))) > w.Time() {
			n++
		}
		return n < most
	})
	return n
}

// reschedule lets a row go at once.
func reschedule(w Work, row *Row) {
	row.Held, row.Unusual, row.Due = false, false, w.Time()
	if row.Waits(w.Time()) {
		row.Scheduled = w.Time()
	}
}
