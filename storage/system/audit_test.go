package system

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

// applyAt applies a command at a time of the group.
func (f *fixture) applyAt(time int64, c command.Command) command.Result {
	f.t.Helper()
	f.n++
	entry := state.Wrap(state.Header{Node: "n", Epoch: 1, Seq: f.n, Time: time}, command.Encode(c))
	out := f.g.Apply([]rookery.Entry{{Index: rookery.LogIndex(f.n), Term: 1, Data: entry}})[0]
	if err := state.ResultError("apply", out); err != nil {
		f.t.Fatal(err)
	}
	r, err := command.DecodeResult(command.TypeOf(c), state.DecodeResult(out).Value)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func (f *fixture) audits(after uint64, limit int) (rows []Audit, next uint64) {
	f.t.Helper()
	rows, next, err := f.m.Audits(after, limit, func(Audit) bool { return true })
	if err != nil {
		f.t.Fatal(err)
	}
	return rows, next
}

func TestAuditRowsSayWhoDidWhat(t *testing.T) {
	f := open(t)
	call := &command.AuditCall{User: "root", Node: "n1", Verb: "drain", Args: "n2"}
	for want := uint64(1); want <= 3; want++ {
		if r := f.applyAt(int64(want)*10, call).(*command.AuditResult); r.Call != want {
			t.Errorf("row %d, want %d", r.Call, want)
		}
	}
	f.applyAt(40, &command.AuditOutcome{Call: 2, Outcome: "done"})
	f.applyAt(50, &command.AuditOutcome{Call: 2, Outcome: "done otherwise"})
	f.applyAt(60, &command.AuditOutcome{Call: 99, Outcome: "done"})
	rows, next := f.audits(1, 1)
	want := []Audit{{Call: 2, Time: 20, Ended: 40, User: "root", Node: "n1", Verb: "drain", Args: "n2", Outcome: "done"}}
	if d := cmp.Diff(want, rows); d != "" || next != 2 {
		t.Error(d, next)
	}
	if rows, next := f.audits(next, 2); len(rows) != 1 || next != 0 {
		t.Error(rows, next)
	}
	long := strings.Repeat("x", command.MaxAuditText+1)
	for _, bad := range []command.Command{
		&command.AuditCall{Node: "n1", Verb: "v"}, &command.AuditCall{User: long, Node: "n1", Verb: "v"},
		&command.AuditCall{User: "u", Node: "n", Verb: "v", Args: long},
		&command.AuditOutcome{Call: 1}, &command.AuditOutcome{Call: 1, Outcome: long},
	} {
		f.refused(rookery.KindInvalid, "", bad)
	}
}

// Rows end by age and by number, a few at each new row.
func TestAuditRowsAreBounded(t *testing.T) {
	f := open(t)
	call := &command.AuditCall{User: "root", Node: "n1", Verb: "drain"}
	for i := range 3 * auditTrim {
		f.applyAt(int64(i)+1, call)
	}
	late := int64(AuditKept) + int64(3*auditTrim) + 1
	f.applyAt(late, call)
	if rows, _ := f.audits(0, 1000); len(rows) != 2*auditTrim+1 {
		t.Errorf("%d rows after one call, want %d", len(rows), 2*auditTrim+1)
	}
	for range 2 {
		late++
		f.applyAt(late, call)
	}
	if rows, _ := f.audits(0, 1000); len(rows) != 3 || rows[0].Call != 3*auditTrim+1 {
		t.Errorf("rows %+v", rows)
	}
}

func TestAuditRowsAreAtMostSoMany(t *testing.T) {
	f := open(t)
	call := &command.AuditCall{User: "root", Node: "n1", Verb: "drain"}
	for i := range MaxAudit + 10 {
		f.applyAt(int64(i)+1, call)
	}
	first, _ := f.audits(0, 1)
	if rows, _ := f.audits(first[0].Call+MaxAudit-2, 10); first[0].Call != 11 || len(rows) != 1 {
		t.Errorf("first row %d, last %v", first[0].Call, rows)
	}
}
