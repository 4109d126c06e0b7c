package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

var leavingPart = part{
	Tables: []tables.Table{
		{ID: tableMoving, Name: "end of a move under way",
			Owner: tables.OfAccount, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.AtOnce,
			Key: tables.Exactly(0), Check: tables.Decodes[moving]},
		{ID: tableMoved, Name: "last move that ended",
			Owner: tables.OfAccount, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Newest, Erased: tables.AtOnce,
			Key: tables.Exactly(0), Check: tables.Decodes[moved]},
		{ID: tableMark, Name: "change since a row was copied",
			Owner: tables.OfAccount, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.AtOnce,
			Key: tables.Size{Min: 2, Max: 1 + maxTravelKey}, Check: tables.Length(8)},
	},
	Handlers: handlers{
		tables.On((*work).moveOut),
		tables.On((*work).moveCopied),
		tables.On((*work).moveFreeze),
		tables.On((*work).moveStop),
		tables.On((*work).moveGone),
	},
}

// moveOut begins a move in the source, or takes it over: the index is the new
// turn.
func (w *work) moveOut(c *command.MoveOut) (command.Result, error) {
	if c.To == w.m.group.ID() || c.To <= rookery.SystemGroup || c.Account == (rookery.AccountID{}) {
		return nil, refuse(rookery.KindInvalid, "an account cannot move to group %d", c.To)
	}
	rec := w.moving(c.Account)
	if w.moved(c.Account).Move >= c.Move || rec != nil && rec.Move > c.Move {
		return nil, refuse(rookery.KindConflict, "a later move of account %s has been here", c.Account)
	}
	switch {
	case rec == nil || rec.Move < c.Move:
		if w.Get(accountKey(tableAccount, c.Account)) == nil {
			return nil, missing(w.Tx, c.Account)
		}
		if w.restoring(c.Account) {
			return nil, refuse(rookery.KindConflict, "account %s is being restored: move it when that has ended", c.Account)
		}
		w.Clear(accountKey(tableMark, c.Account)) // of a move that is over
		rec = &moving{State: MoveCopying, Move: c.Move, Group: c.To}
	case rec.State > MoveFrozen:
		return nil, refuse(rookery.KindConflict, "this group is the target of move %d", c.Move)
	}
	rec.Turn = w.Index()
	w.setMoving(c.Account, rec)
	return &command.MoveOutResult{Turn: rec.Turn, Shadow: rec.Shadow, Cursor: rec.Cursor, Frozen: rec.State == MoveFrozen}, nil
}

// turn is a move's record where the command is of its turn.
func (w *work) turn(id rookery.AccountID, move command.MoveID, turn command.MoveTurn, source bool) (*moving, error) {
	rec := w.moving(id)
	switch {
	case rec == nil || rec.Move != move || (rec.State <= MoveFrozen) != source:
		return nil, refuse(rookery.KindNotFound, "move %d of account %s is not under way in this group", move, id)
	case rec.Turn != turn:
		return nil, refuse(rookery.KindConflict, "another coordinator has taken move %d over", move)
	}
	return rec, nil
}

func (w *work) moveCopied(c *command.MoveCopied) (command.Result, error) {
	rec, err := w.turn(c.Account, c.Move, c.Turn, true)
	if err != nil {
		return nil, err
	}
	if len(c.Cursor) > maxTravelKey || len(c.Upto) > maxTravelKey+1 {
		return nil, refuse(rookery.KindInvalid, "the cursor of a move is too long")
	}
	if rec.Shadow != c.Shadow {
		rec.Shadow, rec.Cursor = c.Shadow, nil
	}
	if len(c.Cursor) > 0 {
		rec.Cursor = c.Cursor
	}
	w.setMoving(c.Account, rec)
	if c.Index == 0 {
		return &command.Done{}, nil
	}
	var done []key
	from := accountKey(tableMark, c.Account)
	w.Between(from, append(append(append([]byte(nil), from...), c.Upto...), 0), func(k, v []byte) bool {
		if tables.U64At(v, 0) <= uint64(c.Index) {
			done = append(done, append(key(nil), k...))
		}
		return true
	})
	for _, k := range done {
		w.Delete(k)
	}
	return &command.Done{}, nil
}

// moveFreeze takes the account's row out, so that every command and view
// misses it: whoever serves an account pays nothing for moves.
func (w *work) moveFreeze(c *command.MoveFreeze) (command.Result, error) {
	rec, err := w.turn(c.Account, c.Move, c.Turn, true)
	if err != nil || rec.State == MoveFrozen {
		return &command.Done{}, err
	}
	if w.Any(accountKey(tableGrave, c.Account)) {
		return nil, refuse(rookery.KindConflict, "rows of deleted mailboxes of account %s are still to be removed", c.Account)
	}
	k := accountKey(tableAccount, c.Account)
	if rec.Account = w.Get(k); rec.Account == nil {
		return nil, missing(w.Tx, c.Account)
	}
	rec.State = MoveFrozen
	w.Delete(k)
	w.setMoving(c.Account, rec)
	w.m.hot.forget(c.Account)
	return &command.Done{}, nil
}

// moveStop lets the account serve here as before.
func (w *work) moveStop(c *command.MoveStop) (command.Result, error) {
	rec, end := w.moving(c.Account), w.moved(c.Account)
	switch {
	case end.Move >= c.Move:
		return &command.Done{}, nil
	case rec == nil && w.Get(accountKey(tableAccount, c.Account)) == nil:
		return &command.Done{}, nil // erased, or never here
	case rec != nil && rec.Move > c.Move:
		return &command.Done{}, nil
	case rec != nil && rec.State > MoveFrozen:
		return nil, refuse(rookery.KindConflict, "this group is the target of move %d", rec.Move)
	case rec != nil && rec.Move < c.Move && rec.State == MoveFrozen:
		return nil, refuse(rookery.KindConflict, "account %s is frozen for move %d", c.Account, rec.Move)
	}
	if rec != nil && rec.State == MoveFrozen {
		w.Set(accountKey(tableAccount, c.Account), rec.Account)
		w.wake(c.Account)
	}
	w.settle(c.Account, moved{Move: c.Move})
	return &command.Done{}, nil
}

// moveGone removes the account, which serves elsewhere.
func (w *work) moveGone(c *command.MoveGone) (command.Result, error) {
	rec := w.moving(c.Account)
	if rec == nil || rec.Move != c.Move {
		if w.moved(c.Account).Move >= c.Move {
			return &command.Done{}, nil
		}
		return nil, refuse(rookery.KindConflict, "move %d of account %s is not under way in this group", c.Move, c.Account)
	}
	if rec.State > MoveFrozen {
		return nil, refuse(rookery.KindConflict, "this group is the target of move %d", c.Move)
	}
	w.settle(c.Account, moved{Move: c.Move, Gone: true, Group: rec.Group})
	w.removeRows(c.Account, w.m.moveAway)
	w.wake(c.Account)
	return &command.Done{}, nil
}

// wake tells the sessions of an account to look where it is.
func (w *work) wake(id rookery.AccountID) {
	if events := w.m.events; events != nil {
		w.OnCommit(func() { events.Changed(id, 0, 0) })
	}
}
