package mailbox

import (
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

var arrivalPart = part{Handlers: handlers{
	tables.On((*work).importBegin),
	tables.On((*work).importRows),
	tables.On((*work).importBody),
	tables.On((*work).importSeal),
	tables.On((*work).activate),
	tables.On((*work).importDrop),
}}

// importBegin begins a copy, or takes one over.
func (w *work) importBegin(c *command.ImportBegin) (command.Result, error) {
	if c.From == w.m.group.ID() || c.From <= rookery.SystemGroup || c.Account == (rookery.AccountID{}) {
		return nil, refuse(rookery.KindInvalid, "an account cannot come from group %d", c.From)
	}
	rec := w.moving(c.Account)
	switch {
	case w.moved(c.Account).Move >= c.Move, rec != nil && rec.Move > c.Move:
		return nil, refuse(rookery.KindConflict, "a later move of account %s has been here", c.Account)
	case rec == nil && w.Get(accountKey(tableAccount, c.Account)) != nil:
		return nil, refuse(rookery.KindExists, "account %s is in this group", c.Account)
	case rec == nil:
		rec = &moving{Move: c.Move, Group: c.From}
	case rec.Move < c.Move, rec.State <= MoveFrozen:
		return nil, refuse(rookery.KindConflict, "an earlier move of account %s is not settled here yet", c.Account)
	case rec.Turn > c.Turn:
		return nil, refuse(rookery.KindConflict, "another coordinator has taken move %d over", c.Move)
	case c.Fresh && rec.Shadow != 0:
		w.dropCopy(c.Account, rec)
		rec.Turn = c.Turn
		w.setMoving(c.Account, rec)
		return &command.ImportBegun{}, nil
	}
	if rec.Shadow == 0 {
		if w.Get(mailboxKey(tableGrave, c.Account, 0)) != nil {
			return nil, refuse(rookery.KindConflict, "what was here of account %s before is not yet gone", c.Account)
		}
		rec.Shadow = w.Index()
	}
	rec.State, rec.Turn, rec.Account = MoveShadow, c.Turn, nil
	w.setMoving(c.Account, rec)
	return &command.ImportBegun{Shadow: rec.Shadow}, nil
}

// dropCopy removes the rows of a copy. The record stays, without a copy: the
// account must never look as if it had not been heard of.
func (w *work) dropCopy(id rookery.AccountID, rec *moving) {
	w.removeRows(id, w.m.moveAway)
	rec.State, rec.Shadow, rec.Account = MoveShadow, 0, nil
	rec.Rows, rec.Digest, rec.Bodies = 0, [16]byte{}, 0
}

// shadow is the record of a copy that grows.
func (w *work) shadow(id rookery.AccountID, move command.MoveID, turn command.MoveTurn) (*moving, error) {
	rec, err := w.turn(id, move, turn, false)
	switch {
	case err != nil:
		return nil, err
	case rec.State != MoveShadow:
		return nil, refuse(rookery.KindConflict, "the copy of account %s is sealed", id)
	case rec.Shadow == 0:
		return nil, refuse(rookery.KindNotFound, "the copy of account %s was dropped; begin it anew", id)
	}
	return rec, nil
}

// maxTravelKey bounds the key of a row that travels.
const maxTravelKey = 1 + MaxName

// importRows writes rows into a copy.
func (w *work) importRows(c *command.Import) (command.Result, error) {
	rec, err := w.shadow(c.Account, c.Move, c.Turn)
	if err != nil {
		return nil, err
	}
	if len(c.Rows)+len(c.Clear) > command.MaxImport {
		return nil, refuse(rookery.KindLimit, "more than %d rows in one command; split it", command.MaxImport)
	}
	for _, k := range c.Clear {
		if len(k) < 1 || len(k) > maxTravelKey || w.m.parts.Arriving(k) == nil {
			return nil, refuse(rookery.KindInvalid, "rows that begin with %.32x do not travel", k)
		}
	}
	for i := range c.Rows {
		if r := &c.Rows[i]; len(r.Key) < 1 || w.m.parts.CheckArrival(r.Key, r.Value, r.Gone) != nil {
			return nil, refuse(rookery.KindInvalid, "a row of an account with the key %.64x is malformed", r.Key)
		}
	}
	// Nothing is refused from here on.
	sum := tally{rec.Rows, rec.Digest}
	for _, k := range c.Clear {
		var old []key
		w.Scan(tables.WithAccountKey(c.Account, k), func(k, _ []byte) bool { old = append(old, slices.Clone(k)); return true })
		for _, k := range old {
			w.arrive(c.Account, &sum, k, nil)
		}
	}
	result := &command.ImportResult{}
	for _, r := range c.Rows {
		if !r.Gone && r.Value == nil {
			r.Value = []byte{}
		}
		if !w.arrive(c.Account, &sum, tables.WithAccountKey(c.Account, r.Key), r.Value) {
			result.Lacking = append(result.Lacking, rookery.EmailID(r.Key[1:17]))
		}
	}
	rec.Rows, rec.Digest = sum.rows, sum.digest
	w.setMoving(c.Account, rec)
	return result, nil
}

// arrive sets a row of a copy, or removes it where v is nil. It returns false
// where a message's content has no body here yet, and sets nothing.
func (w *work) arrive(id rookery.AccountID, sum *tally, k key, v []byte) bool {
	old := w.Get(k)
	if old != nil {
		p, err := w.m.parts.Travelling(k).Carry(old)
		must(err)
		sum.add(tables.WithoutAccountKey(k), p, -1)
	}
	stored := v
	if k[0] == tableEmail && v != nil {
		if old == nil {
			return false
		}
		stored = sameBody(old, v)
	}
	w.m.parts.Follow(w, id, k, old, v)
	if v == nil {
		if old != nil {
			w.Delete(k)
		}
		return true
	}
	sum.add(tables.WithoutAccountKey(k), v, 1)
	w.Set(k, stored)
	return true
}

// sameBody is a content's row with the body that it has here.
func sameBody(old, v []byte) []byte {
	was, err := decodeEmail(old)
	must(err)
	e, err := decodeEmail(v)
	must(err)
	e.body = was.body
	return e.encode()
}

// importBody brings one message's content with its body.
func (w *work) importBody(c *command.ImportBody) (command.Result, error) {
	rec, err := w.shadow(c.Account, c.Move, c.Turn)
	if err != nil {
		return nil, err
	}
	k := emailKey(c.Account, c.Email)
	travels := tables.WithoutAccountKey(k)
	if err := w.m.parts.CheckArrival(travels, c.Record, false); err != nil || c.Size < 0 || c.Size > maxSize || c.Arrived <= 0 ||
		c.Email == (rookery.EmailID{}) {
		return nil, refuse(rookery.KindInvalid, "the content of message %s is malformed", c.Email)
	}
	body := &command.Deliver{Size: c.Size, Layout: c.Layout, Extract: c.Extract, Staged: c.Staged}
	if w.Get(k) != nil { // a retry of an earlier turn's
		if c.Staged != nil {
			w.dropStage(c.Staged.Stage)
		}
		return &command.Done{}, nil
	}
	pieces, err := w.pieces(body)
	if err != nil {
		return nil, err
	}
	e, err := decodeEmail(c.Record)
	must(err)
	e.body = BodyID(w.Index())
	if c.Staged != nil {
		w.takeStage(c.Staged.Stage, true)
	}
	w.addBody(body, e.body, 1, min(c.Arrived, w.Time()), pieces)
	w.Set(k, e.encode())
	sum := tally{rec.Rows, rec.Digest}
	sum.add(travels, c.Record, 1)
	rec.Rows, rec.Digest = sum.rows, sum.digest
	rec.Bodies++
	w.setMoving(c.Account, rec)
	return &command.Done{}, nil
}

// importSeal compares the copy with what the source has.
func (w *work) importSeal(c *command.ImportSeal) (command.Result, error) {
	rec, err := w.shadow(c.Account, c.Move, c.Turn)
	if err != nil {
		return nil, err
	}
	a, err := decodeAccount(c.Account, c.Record)
	if err != nil {
		return nil, refuse(rookery.KindInvalid, "the row of account %s is malformed", c.Account)
	}
	if err := w.checkFloor(a.Key); err != nil {
		return nil, err
	}
	if rec.Rows != c.Rows || rec.Digest != c.Digest {
		return nil, refuse(rookery.KindDamaged, "the copy of account %s has %d rows, the source %d, or their contents differ",
			c.Account, rec.Rows, c.Rows)
	}
	rec.State, rec.Account = MoveSealed, c.Record
	w.setMoving(c.Account, rec)
	return &command.Done{}, nil
}

// activate lets a sealed copy serve.
func (w *work) activate(c *command.Activate) (command.Result, error) {
	rec, end := w.moving(c.Account), w.moved(c.Account)
	switch {
	case end.Move > c.Move, end.Move == c.Move && !end.Gone:
		return &command.Done{}, nil
	case rec == nil || rec.Move != c.Move || rec.State <= MoveFrozen:
		return nil, refuse(rookery.KindNotFound, "there is no copy of account %s of move %d in this group", c.Account, c.Move)
	case rec.State != MoveSealed:
		return nil, refuse(rookery.KindConflict, "the copy of account %s is not sealed", c.Account)
	}
	w.Set(accountKey(tableAccount, c.Account), rec.Account)
	w.settle(c.Account, moved{Move: c.Move})
	w.wake(c.Account)
	return &command.Done{}, nil
}

// importDrop removes the copy of a move that was abandoned.
func (w *work) importDrop(c *command.ImportDrop) (command.Result, error) {
	rec, end := w.moving(c.Account), w.moved(c.Account)
	switch {
	case end.Move >= c.Move, rec != nil && rec.Move > c.Move:
		return &command.Done{}, nil
	case w.Get(accountKey(tableAccount, c.Account)) != nil, rec != nil && rec.State <= MoveFrozen:
		return nil, refuse(rookery.KindConflict, "account %s is in this group", c.Account)
	}
	if rec != nil {
		w.removeRows(c.Account, w.m.moveAway)
	}
	w.settle(c.Account, moved{Move: c.Move, Gone: true, Group: c.From})
	return &command.Done{}, nil
}
