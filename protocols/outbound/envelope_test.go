package outbound

import (
	"testing"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/queue"
)

// TestOneTransactionHasOneSender: a message to a mailbox that forwards and to others
// has several senders, and goes in as many transactions.
func TestOneTransactionHasOneSender(t *testing.T) {
	row := func(n uint32, to string, forwarded bool, from string) result {
		l := loaded{key: &keys.DayKey{}, to: queue.Recipient{Forwarded: forwarded, From: from}}
		l.N, l.address = n, rookery.Address{Local: to, Domain: "far.example"}
		return result{l: l}
	}
	rows := []result{row(0, "a", true, "srs@example.com"), row(1, "b", false, ""), row(2, "c", true, "srs@example.com"), row(3, "d", true, "")}
	e := queue.Envelope{From: "x@elsewhere.example"}
	for first, want := range map[int]struct {
		from string
		good int
	}{0: {"srs@example.com", 2}, 1: {"x@elsewhere.example", 1}, 3: {"", 1}} {
		out, good, bad := envelope(rows[first].l, e, rows)
		from := ""
		if out.From != (rookery.Address{}) {
			from = out.From.String()
		}
		if from != want.from || len(good) != want.good || len(bad) != len(rows)-want.good {
			t.Errorf("beginning with %d: from %q, %d of %d", first, from, len(good), len(rows))
		}
		for _, r := range bad {
			if !r.untried {
				t.Errorf("row %d is not to be tried for itself", r.l.N)
			}
		}
	}
}
