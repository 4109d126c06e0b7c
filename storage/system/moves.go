package system

import (
	"encoding/binary"
	"fmt"
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var movePart = part{
	Tables: []tables.Table{
		{ID: tableMove, Name: "move of an account",
			Owner: tables.OfAccount, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.InTurn,
			Key: tables.Exactly(0), Check: tables.Decodes[AccountMove]},
	},
	Handlers: handlers{
		tables.On((*work).beginMove),
		tables.On((*work).switchMove),
		tables.On((*work).abandonMove),
		tables.On((*work).endMove),
	},
}

var moveRows = tables.Records[AccountMove]{Table: tableMove, What: "moves",
	Named: sized("moves", 16, 16, func(x *AccountMove, k []byte) { x.Account = rookery.AccountID(k) })}

// MoveState is where a move is, as the whole cluster has agreed.
type MoveState uint8

// The states of a move. Numbers are only ever appended.
const (
	// MoveCopying may still be abandoned.
	MoveCopying MoveState = 0
	// MoveSwitched is decided: the map names the new group.
	MoveSwitched MoveState = 1
	// MoveAbandoned is decided: the account stays.
	MoveAbandoned MoveState = 2
)

func (s MoveState) String() string {
	return [...]string{"copying", "switched", "abandoned"}[min(s, MoveAbandoned)]
}

// AccountMove is an account's move between groups until both have settled it.
type AccountMove struct {
	Account rookery.AccountID `cbor:"-"`
	Move    command.MoveID    `cbor:"1,keyasint"`
	From    rookery.GroupID   `cbor:"2,keyasint"`
	To      rookery.GroupID   `cbor:"3,keyasint"`
	State   MoveState         `cbor:"4,keyasint,omitempty"`
	// Begun is unix nanoseconds of group time.
	Begun int64 `cbor:"5,keyasint"`
	// Reason is why it was abandoned.
	Reason string `cbor:"6,keyasint,omitempty"`
}

// maxReason bounds why a move was abandoned, in bytes.
const maxReason = 500

func moveKey(a rookery.AccountID) tables.Key { return tables.AccountKey(tableMove, a) }

// Moves lists the moves under way, in the order of account ids.
func (m *Machine) Moves() (moves []AccountMove, err error) { return list(m, moveRows) }

// Move is an account's move. The error is KindNotFound.
func (m *Machine) Move(id rookery.AccountID) (x AccountMove, err error) {
	err = m.read(func(r state.Reader) error {
		var found bool
		x, found, err = moveRows.Find(r, moveKey(id))
		if err == nil && !found {
			err = rookery.E("find move", rookery.KindNotFound, fmt.Errorf("account %s is not being moved", id))
		}
		return err
	})
	return x, err
}

// moveAt is an account's move if it is this one.
func (w *work) moveAt(id rookery.AccountID, move command.MoveID) (x AccountMove, ok bool) {
	x, ok = moveRows.Get(&w.Change, moveKey(id))
	return x, ok && x.Move == move
}

func (w *work) beginMove(c *command.BeginMove) (command.Result, error) {
	v := w.Get(accountKey(c.Account))
	if len(v) < 4 {
		return nil, refuse(rookery.KindNotFound, "account %s is not in the map", c.Account)
	}
	from := rookery.GroupID(binary.BigEndian.Uint32(v))
	x, found := moveRows.Get(&w.Change, moveKey(c.Account))
	switch {
	case found && x.To == c.To && x.State != MoveAbandoned:
		return &command.BegunMove{Move: x.Move, From: x.From}, nil
	case found:
		return nil, refuse(rookery.KindConflict, "account %s is being moved to group %d (%s); wait until that has ended", c.Account,
			x.To, x.State)
	case erasing(w.Tx, c.Account) != nil:
		return nil, errErasing(c.Account)
	case from == c.To:
		return nil, refuse(rookery.KindExists, "account %s is in group %d already", c.Account, c.To)
	}
	p, found := groupRows.Get(&w.Change, groupKey(c.To))
	switch {
	case !found || c.To <= rookery.SystemGroup:
		return nil, refuse(rookery.KindNotFound, "there is no mail group %d", c.To)
	case p.Void:
		return nil, refuse(rookery.KindConflict, "group %d is void: the node that alone could begin it was removed", c.To)
	case !p.Begun():
		return nil, refuse(rookery.KindConflict, "group %d has not begun yet", c.To)
	}
	moves := moveRows.All(&w.Change)
	if len(moves) >= command.MaxMoves {
		return nil, refuse(rookery.KindLimit, "%d accounts are being moved, at most that many at once", len(moves))
	}
	x = AccountMove{Move: command.MoveID(w.Index()), From: from, To: c.To, Begun: w.Time()}
	moveRows.Put(&w.Change, moveKey(c.Account), &x)
	w.changed()
	return &command.BegunMove{Move: x.Move, From: from}, nil
}

// switchMove is where a move is decided: the account's rows in the map change.
func (w *work) switchMove(c *command.SwitchMove) (command.Result, error) {
	x, ok := w.moveAt(c.Account, c.Move)
	switch {
	case !ok:
		return nil, refuse(rookery.KindConflict, "move %d of account %s has ended", c.Move, c.Account)
	case x.State == MoveAbandoned:
		return nil, refuse(rookery.KindConflict, "move %d of account %s was abandoned", c.Move, c.Account)
	case x.State == MoveSwitched:
		return &command.Done{}, nil
	}
	v := w.Get(accountKey(c.Account))
	if len(v) < 4 {
		return nil, refuse(rookery.KindConflict, "account %s was taken off the map", c.Account)
	}
	w.place(c.Account, x.To, string(v[4:]))
	x.State = MoveSwitched
	moveRows.Put(&w.Change, moveKey(c.Account), &x)
	w.changed()
	return &command.Done{}, nil
}

func (w *work) abandonMove(c *command.AbandonMove) (command.Result, error) {
	x, ok := w.moveAt(c.Account, c.Move)
	switch {
	case !ok || x.State == MoveAbandoned:
		return &command.Done{}, nil
	case x.State == MoveSwitched:
		return nil, refuse(rookery.KindConflict, "account %s is in group %d by now: move it back instead", c.Account, x.To)
	}
	w.abandon(x, c.Reason)
	return &command.Done{}, nil
}

func (w *work) abandon(x AccountMove, reason string) {
	x.State, x.Reason = MoveAbandoned, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
	moveRows.Put(&w.Change, moveKey(x.Account), &x)
	w.changed()
}

// abandonErased gives up a move that is not decided: its account is erased.
func (w *work) abandonErased(id rookery.AccountID) {
	x, found := moveRows.Get(&w.Change, moveKey(id))
	if found && x.State == MoveCopying {
		w.abandon(x, "the account was erased")
	}
}

func (w *work) endMove(c *command.EndMove) (command.Result, error) {
	x, ok := w.moveAt(c.Account, c.Move)
	switch {
	case !ok:
		return &command.Done{}, nil
	case x.State == MoveCopying:
		return nil, refuse(rookery.KindConflict, "move %d of account %s is not decided", c.Move, c.Account)
	}
	w.Delete(moveKey(c.Account))
	w.changed()
	return &command.Done{}, nil
}
