package mailbox

import (
	"context"

	"rookery"
	"rookery/storage/command"
)

// oneMoveOf is an account's move under way, as its coordinator has it.
type oneMoveOf struct {
	command.MoveID
	from, to *archived
	turn     command.MoveTurn
	shadow   rookery.LogIndex
	cursor   []byte
	first    bool // the first pass is over
	frozen   bool
	sealed   bool
}

// moveOn takes a move one step on, or begins one.
func (h *history) moveOn(id rookery.AccountID) {
	x := h.moves[id]
	if x == nil {
		if h.rng.IntN(2) == 0 {
			return
		}
		h.move++
		x = &oneMoveOf{MoveID: h.move, from: h.groups[h.where[id]], to: h.groups[1-h.where[id]]}
		h.moves[id] = x
	}
	if h.rng.IntN(15) == 0 && !x.frozen {
		x.turn, x.shadow = 0, 0 // another coordinator takes over
	}
	if !h.moveStep(id, x) || h.rng.IntN(25) == 0 && !x.sealed {
		h.propose(x.from, &command.MoveStop{Account: id, Move: x.MoveID})
		h.propose(x.to, &command.ImportDrop{Account: id, Move: x.MoveID, From: x.from.id})
		delete(h.moves, id)
		h.seen["accounts stayed"]++
	}
}

// moveStep reports whether the move goes on.
func (h *history) moveStep(id rookery.AccountID, x *oneMoveOf) bool {
	switch {
	case x.turn == 0:
		out, ok := h.propose(x.from, &command.MoveOut{Account: id, Move: x.MoveID, To: x.to.id}).(*command.MoveOutResult)
		if ok {
			x.turn = out.Turn
		}
		return ok
	case x.shadow == 0:
		begun, ok := h.propose(x.to, &command.ImportBegin{Account: id, Move: x.MoveID, Turn: x.turn, From: x.from.id}).(*command.ImportBegun)
		if !ok || begun.Shadow == 0 {
			h.propose(x.to, &command.PurgeExpunged{Account: id}) // what is left of an earlier one
			return h.rng.IntN(8) > 0
		}
		x.shadow = begun.Shadow
		return h.propose(x.from, &command.MoveCopied{Account: id, Move: x.MoveID, Turn: x.turn, Shadow: x.shadow}) != nil
	case !x.first:
		return h.copyRows(id, x)
	case !x.frozen:
		h.propose(x.from, &command.PurgeExpunged{Account: id})
		x.frozen = h.copyMarks(id, x, 3) && h.propose(x.from, &command.MoveFreeze{Account: id, Move: x.MoveID, Turn: x.turn}) != nil
		return x.frozen || h.rng.IntN(6) > 0
	case !x.sealed:
		x.sealed = h.copyMarks(id, x, 100) && h.seal(id, x)
		return x.sealed
	}
	if h.propose(x.to, &command.Activate{Account: id, Move: x.MoveID}) == nil {
		h.t.Errorf("a sealed copy of account %s cannot serve", id)
	}
	h.where[id] = 1 - h.where[id]
	h.propose(x.from, &command.MoveGone{Account: id, Move: x.MoveID})
	delete(h.moves, id)
	h.seen["accounts moved"]++
	return true
}

func (h *history) copyRows(id rookery.AccountID, x *oneMoveOf) bool {
	e := x.from.m.Export(id)
	defer e.Close()
	rows, err := e.Rows(x.cursor, 1500)
	must(err)
	if x.first = len(rows) == 0; x.first {
		return true
	}
	x.cursor = rows[len(rows)-1].Key
	return h.carry(id, x, e, nil, rows)
}

// carry writes rows into the copy, with the bodies that it lacks.
func (h *history) carry(id rookery.AccountID, x *oneMoveOf, e *Export, clear [][]byte, rows []command.ImportRow) bool {
	r, ok := h.propose(x.to, &command.Import{Account: id, Move: x.MoveID, Turn: x.turn, Clear: clear, Rows: rows}).(*command.ImportResult)
	if !ok {
		return false
	}
	for _, email := range r.Lacking {
		c, err := e.Content(email)
		must(err)
		b := &command.ImportBody{Account: id, Move: x.MoveID, Turn: x.turn, Email: email, Record: c.Record, Size: c.Body.Size,
			Extract: c.Extract, Layout: c.Body.Layout, Payload: []byte("body")}
		if h.rng.IntN(5) == 0 {
			b.Staged, b.Payload = h.stage(x.to), nil
		}
		if h.propose(x.to, b) == nil {
			return false
		}
	}
	return true
}

// copyMarks copies what has changed, in some parts at most, and reports whether
// nothing is left.
func (h *history) copyMarks(id rookery.AccountID, x *oneMoveOf, parts int) bool {
	for range parts {
		e := x.from.m.Export(id)
		index, err := e.Index()
		must(err)
		marks, err := e.Marks(1500)
		must(err)
		ok := len(marks.Upto) > 0 && h.carry(id, x, e, marks.Clear, marks.Rows) &&
			h.propose(x.from, &command.MoveCopied{Account: id, Move: x.MoveID, Turn: x.turn, Shadow: x.shadow, Index: index,
				Upto: marks.Upto}) != nil
		e.Close()
		if !ok {
			return len(marks.Upto) == 0
		}
	}
	return false
}

func (h *history) seal(id rookery.AccountID, x *oneMoveOf) bool {
	e := x.from.m.Export(id)
	defer e.Close()
	c := &command.ImportSeal{Account: id, Move: x.MoveID, Turn: x.turn}
	var err error
	if c.Record, err = e.Record(); err != nil {
		return false // it was given up
	}
	c.Rows, c.Digest, err = e.Digest(context.Background())
	must(err)
	return h.propose(x.to, c) != nil
}
