package system

import (
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var auditPart = part{
	Tables: []tables.Table{
		{ID: tableAudit, Name: "audited call", Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive,
			Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(8), Check: auditRows.Check},
		{ID: tableAuditRange, Name: "range of audited calls", Owner: tables.OfCluster, Travels: tables.Stays,
			Archived: tables.InArchive, Restored: tables.Newest,
			Erased: tables.Kept, Key: tables.Exactly(0), Check: auditRanges.Check},
	},
	Handlers: handlers{
		tables.On((*work).auditCall),
		tables.On((*work).auditOutcome),
	},
}

var auditRows = tables.Records[Audit]{Table: tableAudit, What: "audit",
	Named: sized("audit", 8, 8, func(x *Audit, k []byte) { x.Call = tables.U64At(k, 0) })}

var auditRanges = tables.Records[auditRange]{Table: tableAuditRange, What: "range of the audit"}

// Bounds of the audit rows. Each new row takes away at most auditTrim that are
// beyond them, so that no entry costs much.
const (
	MaxAudit  = 100_000
	AuditKept = 400 * 24 * time.Hour
	auditTrim = 64
)

// Audit is one call of an administrator that changed something, or tried to.
type Audit struct {
	// Call numbers the rows, from 1 and without gaps.
	Call uint64 `cbor:"-"`
	// Time is when it was called and Ended when its outcome was recorded, 0
	// before that: group time, unix nanoseconds.
	Time  int64 `cbor:"1,keyasint"`
	Ended int64 `cbor:"2,keyasint,omitempty"`
	// User is the Unix user who called, and Node the name of the node called.
	User string `cbor:"3,keyasint"`
	Node string `cbor:"4,keyasint"`
	// Verb is what was called for, with its arguments, without secrets.
	Verb string `cbor:"5,keyasint"`
	Args string `cbor:"6,keyasint,omitempty"`
	// Outcome is empty where it is not known: the call is under way, or its node
	// went away.
	Outcome string `cbor:"7,keyasint,omitempty"`
}

// auditRange is the first row that is kept, and the number of the next one.
type auditRange struct {
	First uint64 `cbor:"1,keyasint"`
	Next  uint64 `cbor:"2,keyasint"`
}

func auditKey(call uint64) tables.Key { return tables.NewKey(tableAudit).U64(call) }

func (w *work) auditCall(c *command.AuditCall) (command.Result, error) {
	for _, name := range []string{c.User, c.Node, c.Verb} {
		if len(name) == 0 || len(name) > command.MaxAuditName {
			return nil, refuse(rookery.KindInvalid, "an audit row names user, node and verb with 1 to %d bytes each", command.MaxAuditName)
		}
	}
	if len(c.Args) > command.MaxAuditText {
		return nil, refuse(rookery.KindInvalid, "the arguments of an audit row are at most %d bytes", command.MaxAuditText)
	}
	kept, found := auditRanges.Get(&w.Change, tables.Key{tableAuditRange})
	if !found {
		kept = auditRange{1, 1}
	}
	call := kept.Next
	auditRows.Put(&w.Change, auditKey(call), &Audit{Time: w.Time(), User: c.User, Node: c.Node, Verb: c.Verb, Args: c.Args})
	kept.Next++
	for range auditTrim {
		oldest, _ := auditRows.Get(&w.Change, auditKey(kept.First))
		if kept.Next-kept.First <= MaxAudit && oldest.Time >= w.Time()-int64(AuditKept) {
			break
		}
		w.Delete(auditKey(kept.First))
		kept.First++
	}
	auditRanges.Put(&w.Change, tables.Key{tableAuditRange}, &kept)
	return &command.AuditResult{Call: call}, nil
}

func (w *work) auditOutcome(c *command.AuditOutcome) (command.Result, error) {
	if len(c.Outcome) == 0 || len(c.Outcome) > command.MaxAuditText {
		return nil, refuse(rookery.KindInvalid, "the outcome of a call is 1 to %d bytes", command.MaxAuditText)
	}
	if a, found := auditRows.Get(&w.Change, auditKey(c.Call)); found && a.Outcome == "" {
		a.Outcome, a.Ended = c.Outcome, w.Time()
		auditRows.Put(&w.Change, auditKey(c.Call), &a)
	}
	return &command.Done{}, nil
}

// Audits gives at most limit rows that follow after, oldest first, for which
// match holds. Next is the row to go on after, 0 at the end.
func (m *Machine) Audits(after uint64, limit int, match func(Audit) bool) (rows []Audit, next uint64, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(auditKey(after+1), []byte{tableAudit + 1}, func(k, v []byte) (bool, error) {
			a, err := auditRows.Row(k, v)
			if err != nil {
				return false, err
			}
			if match(a) {
				rows = append(rows, a)
			}
			if len(rows) == limit {
				next = a.Call
			}
			return next == 0, nil
		})
	})
	return rows, next, err
}
