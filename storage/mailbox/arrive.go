package mailbox

import (
	"encoding/binary"
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
	case rec == nil && w.get(accountKey(tableAccount, c.Account)) != nil:
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
		if w.get(mailboxKey(tableGrave, c.Account, 0)) != nil {
			return nil, refuse(rookery.KindConflict, "what was here of account %s before is not yet gone", c.Account)
		}
		rec.Shadow = w.tx.Index()
	}
	rec.State, rec.Turn, rec.Account = MoveShadow, c.Turn, nil
	w.setMoving(c.Account, rec)
	return &command.ImportBegun{Shadow: rec.Shadow}, nil
}

// dropCopy removes the rows of a copy. The record stays, without a copy: the
// account must never look as if it had not been heard of.
func (w *work) dropCopy(id rookery.AccountID, rec *moving) {
	w.removeRows(id)
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
		if len(k) < 1 || len(k) > maxTravelKey || !travelling[k[0]] {
			return nil, refuse(rookery.KindInvalid, "rows that begin with %.32x do not travel", k)
		}
	}
	for i := range c.Rows {
		if err := checkArrival(&c.Rows[i]); err != nil {
			return nil, err
		}
	}
	// Nothing is refused from here on.
	sum := tally{rec.Rows, rec.Digest}
	for _, k := range c.Clear {
		var old []key
		w.scan(arrivedKey(c.Account, k), func(k, _ []byte) bool { old = append(old, slices.Clone(k)); return true })
		for _, k := range old {
			w.arrive(c.Account, &sum, k, nil)
		}
	}
	result := &command.ImportResult{}
	for _, r := range c.Rows {
		if !r.Gone && r.Value == nil {
			r.Value = []byte{}
		}
		if !w.arrive(c.Account, &sum, arrivedKey(c.Account, r.Key), r.Value) {
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
	old := w.get(k)
	if old != nil {
		p, err := portable(k[0], old)
		must(err)
		sum.add(travelKey(k), p, -1)
	}
	stored := v
	if k[0] == tableEmail {
		if v != nil && old == nil {
			return false
		}
		stored = w.sameBody(old, v)
	}
	w.follow(id, k, old, v)
	if v == nil {
		if old != nil {
			w.delete(k)
		}
		return true
	}
	sum.add(travelKey(k), v, 1)
	w.set(k, stored)
	return true
}

// sameBody is a content's row with the body that it has here; without a row
// the body loses its reference.
func (w *work) sameBody(old, v []byte) []byte {
	if old == nil {
		return nil
	}
	was, err := decodeEmail(old)
	must(err)
	if v == nil {
		w.unrefBody(was.body)
		return nil
	}
	e, err := decodeEmail(v)
	must(err)
	e.body = was.body
	return e.encode()
}

// follow keeps the rows that follow from others: when an entry of the
// recoverable list is purged, and which accounts an intent was filed for.
func (w *work) follow(id rookery.AccountID, k key, old, v []byte) {
	switch k[0] {
	case tableExpunged:
		var rec expungedRecord
		if old != nil {
			must(decodeCold(old, &rec))
			w.delete(purgeKey(rec.Time, id, expungedIDAt(k, 17)))
		}
		if v != nil {
			rec = expungedRecord{}
			must(decodeCold(v, &rec))
			w.set(purgeKey(rec.Time, id, expungedIDAt(k, 17)), nil)
		}
	case tableFiledFor:
		by := filedByKey(command.IntentID(k[17:33]), id)
		if v == nil {
			w.delete(by)
		} else {
			w.set(by, nil)
		}
	}
}

// checkArrival refuses a row that no group could have.
func checkArrival(r *command.ImportRow) error {
	bad := func() error {
		return refuse(rookery.KindInvalid, "a row of an account with the key %.64x is malformed", r.Key)
	}
	if len(r.Key) < 2 || len(r.Key) > maxTravelKey || !travelling[r.Key[0]] {
		return bad()
	}
	if n := keySize[r.Key[0]]; n > 0 && len(r.Key) != 1+n {
		return bad()
	}
	if r.Gone {
		if len(r.Value) > 0 {
			return bad()
		}
		return nil
	}
	err := checkValue(r.Key[0], r.Value)
	if err == nil {
		r.Value, err = portable(r.Key[0], r.Value) // in the one form that is counted
	}
	if err != nil {
		return bad()
	}
	return nil
}

// keySize is the length of a row's key behind the account, where it is fixed.
var keySize = [256]int{
	tableMailbox: 4, tableCounters: 4, tableRow: 8, tableEmail: 16, tableToken: 8, tableChange: 16,
	tableTombstone: 16, tableRemoved: 8, tableExpunged: 12, tableFiledFor: 16,
}

// checkValue reads a value as this group would.
func checkValue(table byte, v []byte) error {
	size := func(n int) error {
		if len(v) != n {
			return damaged("row")
		}
		return nil
	}
	switch table {
	case tableMailbox:
		return new(box).decode(v)
	case tableCounters:
		return new(box).decodeCounters(v)
	case tableRow:
		return decodeRow(v, new(row))
	case tableEmail:
		e, err := decodeEmail(v)
		if err == nil && e.body != 0 {
			err = damaged("email")
		}
		return err
	case tableToken:
		if len(v) <= 16 {
			return damaged("token")
		}
		if _, n := binary.Uvarint(v[16:]); n <= 0 {
			return damaged("token")
		}
		return nil
	case tableChange, tableSubscribe:
		return size(0)
	case tableTombstone, tableRemoved, tableName:
		return size(4)
	case tableExpunged:
		var rec expungedRecord
		if err := decodeCold(v, &rec); err != nil {
			return err
		}
		return decodeRow(rec.Row, new(row))
	case tableFiledFor:
		return decodeCold(v, new(command.Filed))
	}
	return damaged("row")
}

// importBody brings one message's content with its body.
func (w *work) importBody(c *command.ImportBody) (command.Result, error) {
	rec, err := w.shadow(c.Account, c.Move, c.Turn)
	if err != nil {
		return nil, err
	}
	if err := checkValue(tableEmail, c.Record); err != nil || c.Size < 0 || c.Size > maxSize || c.Email == (rookery.EmailID{}) {
		return nil, refuse(rookery.KindInvalid, "the content of message %s is malformed", c.Email)
	}
	body := &command.Deliver{Size: c.Size, Layout: c.Layout, Extract: c.Extract, Staged: c.Staged}
	k := emailKey(c.Account, c.Email)
	if w.get(k) != nil { // a retry of an earlier turn's
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
	e.body = BodyID(w.tx.Index())
	if c.Staged != nil {
		w.takeStage(c.Staged.Stage, true)
	}
	w.addBody(body, e.body, 1, pieces)
	w.set(k, e.encode())
	record, err := portable(tableEmail, c.Record)
	must(err)
	sum := tally{rec.Rows, rec.Digest}
	sum.add(travelKey(k), record, 1)
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
	if len(a.Old) > 0 {
		if err := w.checkFloor(a.Old); err != nil {
			return nil, err
		}
	}
	if rec.Rows != c.Rows || rec.Digest != c.Digest {
		return nil, refuse(rookery.KindDamaged, "the copy of account %s has %d rows, the source %d, or their contents differ", c.Account, rec.Rows, c.Rows)
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
	w.set(accountKey(tableAccount, c.Account), rec.Account)
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
	case w.get(accountKey(tableAccount, c.Account)) != nil, rec != nil && rec.State <= MoveFrozen:
		return nil, refuse(rookery.KindConflict, "account %s is in this group", c.Account)
	}
	if rec != nil {
		w.removeRows(c.Account)
	}
	w.settle(c.Account, moved{Move: c.Move, Gone: true, Group: c.From})
	return &command.Done{}, nil
}
