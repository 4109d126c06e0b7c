package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/holds"
	"rookery/storage/queue"
	"rookery/storage/state"
	"rookery/storage/tables"
	"rookery/storage/trace"
)

// Machine is one mail group's state machine and the source of its views.
// Apply and Restored are called by one goroutine at a time, everything else
// by any.
type Machine struct {
	parts         *tables.Parts[*work]
	group         *state.Group
	events        Events
	cache         uidCache
	hot           hot
	leaving       leaving
	maxTombstones uint32 // MaxTombstones, less in tests
	maxReap       int    // command.MaxBatch, less in tests

	// Tables of accounts: those that a move copies, that it takes away in the
	// end, that an erasure takes away, and that go in turn afterwards.
	copied, moveAway, atOnce, inTurn []*tables.Table
}

var _ state.Machine = (*Machine)(nil)

// The machine's parts are declared in the files that have their code.
type (
	part     = tables.Part[*work]
	handlers = []tables.Handler[*work]
)

func join() *tables.Parts[*work] {
	return tables.Join("a mail group",
		accountPart, folderPart, messagePart, deliveryPart, expungedPart, stagePart, bodyPart,
		holds.Part[*work](), habitPart,
		gravePart, queue.Part[*work](), trace.Part[*work](), filedPart, keyPart, leavingPart, arrivalPart, jumpPart, archivePart,
		restorePart,
	)
}

// New makes the machine of a group; events may be nil.
func New(events Events) func(*state.Group) *Machine {
	return func(g *state.Group) *Machine { return newMachine(g, events, join()) }
}

func newMachine(g *state.Group, events Events, parts *tables.Parts[*work]) *Machine {
	m := &Machine{parts: parts, group: g, events: events, maxTombstones: MaxTombstones, maxReap: command.MaxBatch}
	m.copied = parts.Where(func(t *tables.Table) bool { return t.Travels == tables.Copied })
	m.moveAway = parts.Where(func(t *tables.Table) bool { return t.Erased == tables.AtOnce && t.Travels != tables.Stays })
	m.atOnce = parts.Where(func(t *tables.Table) bool { return t.Erased == tables.AtOnce })
	m.inTurn = parts.Where(func(t *tables.Table) bool { return t.Erased == tables.InTurn })
	return m
}

// Restored drops what was derived from replaced rows.
func (m *Machine) Restored() {
	m.leaving = nil
	m.cache.reset()
	m.hot.reset()
}

// Apply executes the command in a log entry: it changes everything the
// command says or, where it refuses, nothing.
func (m *Machine) Apply(tx state.Tx, entry []byte) []byte {
	cmd, payload, err := command.Decode(entry[tx.Offset():])
	w := m.begin(tx)
	m.loadLeaving(tx)
	var result command.Result
	if err == nil {
		w.payload = LogPiece{tx.Index(), tx.Term(), int64(tx.Offset() + payload), int64(len(entry) - tx.Offset() - payload)}
		result, err = m.parts.Run(w, cmd)
	}
	if err != nil {
		w = m.begin(tx) // nothing of a refused command is written
	}
	w.flush()
	return tables.Answer(result, err)
}

// refuse makes the error of a command that cannot be.
func refuse(kind rookery.Kind, format string, args ...any) error {
	return tables.Refuse(kind, format, args...)
}
