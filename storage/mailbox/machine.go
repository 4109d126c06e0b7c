package mailbox

import (
	"errors"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

// Machine is one mail group's state machine and the source of its views.
// Apply and Restored are called by one goroutine at a time, everything else
// by any.
type Machine struct {
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

// New makes the machine of a group; events may be nil.
func New(events Events) func(*state.Group) *Machine {
	return func(g *state.Group) *Machine {
		return &Machine{group: g, events: events, maxTombstones: MaxTombstones}
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
		result, err = w.run(cmd)
	}
	if err != nil {
		*w = work{m: m, tx: tx} // nothing of a refused command is written
	}
	w.flush()
	w.reap(reapPerCommand)
	if err != nil {
		return state.Refuse(rookery.KindOf(err), reason(err))
	}
	return state.OK(command.EncodeResult(result))
}

// run executes one command.
func (w *work) run(cmd command.Command) (command.Result, error) {
	switch c := cmd.(type) {
	case *command.Deliver:
		return w.deliver(c)
	case *command.StoreFlags:
		return w.storeFlags(c)
	case *command.Expunge:
		return w.expunge(c)
	case *command.Copy:
		return w.copy(c.Account, c.From, c.To, c.UIDs, false)
	case *command.Move:
		return w.copy(c.Account, c.From, c.To, c.UIDs, true)
	case *command.Stage:
		return w.stage(c)
	case *command.Abandon:
		return w.abandon(c)
	case *command.ForgetNode:
		return w.forgetNode(c)
	case *command.CreateAccount:
		return w.createAccount(c)
	case *command.SetQuota:
		return w.setQuota(c)
	case *command.EraseAccount:
		return w.eraseAccount(c)
	case *command.CreateMailbox:
		return w.createMailbox(c)
	case *command.DeleteMailbox:
		return w.deleteMailbox(c)
	case *command.RenameMailbox:
		return w.renameMailbox(c)
	case *command.Subscribe:
		return w.subscribe(c)
	case *command.PurgeExpunged:
		return w.purgeExpunged(c)
	case *command.Recover:
		return w.recoverExpunged(c)
	case *command.Packed:
		return w.packed(c)
	case *command.PackDead:
		return w.packDead(c)
	case *command.PackDeleted:
		return w.packDeleted(c)
	case *command.PackForget:
		return w.packForget(c)
	case *command.Hold:
		return w.hold(c)
	case *command.Release:
		return w.release(c)
	case *command.RestoreWindow:
		return w.restoreWindow(c)
	case *command.NamePacks:
		return w.namePacks(c)
	case *command.IntentDone:
		return w.intentDone(c)
	case *command.IntentForget:
		return w.intentForget(c)
	case *command.KeyFloor:
		return w.keyFloor(c)
	case *command.RewrapAccounts:
		return w.rewrapAccounts(c)
	case *command.RotateAccountKey:
		return w.rotateAccountKey(c)
	case *command.RewrapMessages:
		return w.rewrapMessages(c)
	case *command.DropAccountKey:
		return w.dropAccountKey(c)
	case *command.BarAccount:
		return w.barAccount(c)
	case *command.Jump:
		return w.jump(c)
	case *command.MoveOut:
		return w.moveOut(c)
	case *command.MoveCopied:
		return w.moveCopied(c)
	case *command.MoveFreeze:
		return w.moveFreeze(c)
	case *command.MoveStop:
		return w.moveStop(c)
	case *command.MoveGone:
		return w.moveGone(c)
	case *command.ImportBegin:
		return w.importBegin(c)
	case *command.Import:
		return w.importRows(c)
	case *command.ImportBody:
		return w.importBody(c)
	case *command.ImportSeal:
		return w.importSeal(c)
	case *command.Activate:
		return w.activate(c)
	case *command.ImportDrop:
		return w.importDrop(c)
	}
	return nil, refuse(rookery.KindInvalid, "command type %d does not belong to a mail group", cmd.Type())
}

// refuse makes the error of a command that cannot be.
func refuse(kind rookery.Kind, format string, args ...any) error {
	return rookery.E("apply", kind, fmt.Errorf(format, args...))
}

// reason is a refusal's text without its operation.
func reason(err error) string {
	var e *rookery.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}
