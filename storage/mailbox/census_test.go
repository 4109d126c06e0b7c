package mailbox

import (
	"context"
	"errors"
	"testing"

	"rookery/storage/command"
)

// A census that is told what was marked says what a count of everything says,
// without a part of it it does not, and what it cannot follow it counts anew.
func TestCensusFollowsTheMarks(t *testing.T) {
	f, a, _ := leavingFrom(t)
	for i := range 20 {
		f.deliver(a, 10+i)
	}
	c, err := f.m.Census(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	agrees := func(want bool) {
		t.Helper()
		x := f.m.Export(a)
		defer x.Close()
		rows, digest, err := c.Digest(t.Context(), x)
		all, sum, aerr := x.Digest(t.Context())
		if err != nil || aerr != nil {
			t.Fatal(err, aerr)
		}
		if got := rows == all && digest == sum; got != want {
			t.Fatalf("the census counts %d rows, there are %d; same digest: %v", rows, all, digest == sum)
		}
	}
	tell := func() {
		x := f.m.Export(a)
		defer x.Close()
		for part, more := (Marked{}), true; more; more = part.More {
			if part, err = x.Marks(1 << 30); err != nil {
				t.Fatal(err)
			}
			c.Changed(part)
		}
	}
	agrees(true)
	f.deliver(a, 50)
	do[command.Result](f, &command.CreateMailbox{Account: a, Name: "New"})
	do[command.Result](f, &command.Subscribe{Account: a, Name: "New", On: true})
	agrees(false)
	tell()
	agrees(true)
	do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, All: true, Force: true})
	agrees(false)
	tell()
	agrees(true)
	if c.Stale() {
		t.Error("these few changes make the census void")
	}
	c.Changed(Marked{Clear: [][]byte{{tableRow, 0, 0, 0, 1}}})
	f.deliver(a, 51)
	if !c.Stale() {
		t.Error("the census is not void although rows were removed by their beginning")
	}
	agrees(true)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.m.Census(gone, a); !errors.Is(err, context.Canceled) {
		t.Errorf("a census that nobody waits for gives %v", err)
	}
}
