package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
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
	graves        graveyard
	leaving       leaving
	maxTombstones uint32 // MaxTombstones, less in tests
}

var _ state.Machine = (*Machine)(nil)

// graveyard remembers whether tableGrave has rows, so that commands do not
// look each time. It only saves time.
type graveyard uint8

const (
	gravesUnknown graveyard = iota
	gravesNone
	gravesSome
)

// The machine's parts are declared in the files that have their code.
type (
	part     = tables.Part[*work]
	handlers = []tables.Handler[*work]
)

// New makes the machine of a group; events may be nil.
func New(events Events) func(*state.Group) *Machine {
	parts := tables.Join("a mail group", accountPart, folderPart, messagePart, deliveryPart, expungedPart, stagePart, bodyPart, holdPart,
		intentPart, filedPart, keyPart, leavingPart, arrivalPart, jumpPart)
	return func(g *state.Group) *Machine {
		return &Machine{parts: parts, group: g, events: events, maxTombstones: MaxTombstones}
	}
}

// Restored drops what was derived from replaced rows.
func (m *Machine) Restored() {
	m.graves = gravesUnknown
	m.leaving = nil
	m.cache.reset()
	m.hot.reset()
}

// Apply executes the command in a log entry: it changes everything the
// command says or, where it refuses, nothing.
func (m *Machine) Apply(tx state.Tx, entry []byte) []byte {
	cmd, payload, err := command.Decode(entry[tx.Offset():])
	w := &work{m: m, tx: tx}
	m.loadLeaving(tx)
	var result command.Result
	if err == nil {
		w.payload = LogPiece{tx.Index(), tx.Term(), int64(tx.Offset() + payload), int64(len(entry) - tx.Offset() - payload)}
		result, err = m.parts.Run(w, cmd)
	}
	if err != nil {
		*w = work{m: m, tx: tx} // nothing of a refused command is written
	}
	w.flush()
	w.reap(reapPerCommand)
	return tables.Answer(result, err)
}

// refuse makes the error of a command that cannot be.
func refuse(kind rookery.Kind, format string, args ...any) error {
	return tables.Refuse(kind, format, args...)
}
