package accountmove

import (
	"context"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// Sizes of the work: an account is frozen when fewMarks are left to copy, or
// after rounds looks at those of one that never rests.
const (
	fewMarks = 64
	rounds   = 50
	// counts is how often an account is counted before the pause, while its
	// owner removes so much that the count is void.
	counts = 3
	// cursorEvery is how many commands of the first pass may have to be
	// repeated by the next coordinator.
	cursorEvery = 8
)

// ended is the cursor behind every row.
var ended = []byte{0xff}

// carriage is one coordinator's turn at one move.
type carriage struct {
	*Mover
	system.AccountMove
	source *mailbox.Machine
	turn   command.MoveTurn
	shadow rookery.LogIndex
	cursor []byte
	// census counts the source; nil before, and where an earlier coordinator
	// has frozen the account.
	census *mailbox.Census
}

// carry copies, freezes, copies the rest, switches and finishes.
func (m *Mover) carry(ctx context.Context, x system.AccountMove) error {
	c := &carriage{Mover: m, AccountMove: x, source: m.o.Machine(x.From)}
	if c.source == nil {
		return rookery.E("move account", rookery.KindUnavailable, fmt.Errorf("group %d has no replica on this node", x.From))
	}
	defer c.uncount()
	frozen, err := c.begin(ctx)
	if err != nil {
		return err
	}
	if !frozen {
		if err := c.follow(ctx); err != nil {
			return err
		}
		if err := c.freeze(ctx); err != nil {
			return err
		}
	}
	deadline := m.isFrozen(x.Move)
	if x.State == system.MoveCopying {
		// Without an answer in time the account is to serve again where it was.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(deadline.Sub(m.o.Clock()), m.o.Frozen/4))
		defer cancel()
	}
	if err := c.cutOver(ctx); err != nil {
		return err
	}
	x.State = system.MoveSwitched
	return m.finish(ctx, x)
}

// begin takes the turn at both ends and finds out how far the copy is.
func (c *carriage) begin(ctx context.Context) (frozen bool, err error) {
	r, err := c.apply(ctx, c.From, &command.MoveOut{Account: c.Account, Move: c.Move, To: c.To})
	if rookery.Is(err, rookery.KindNotFound) {
		return false, errErased
	}
	if err != nil {
		return false, err
	}
	out := r.(*command.MoveOutResult)
	c.turn, c.cursor = out.Turn, out.Cursor
	if c.shadow, err = c.importBegin(ctx, false); err != nil {
		return false, err
	}
	if c.shadow == out.Shadow {
		return out.Frozen, nil
	}
	// The source does not know this copy: it is new, or of a future that the
	// source has lost.
	if c.shadow, err = c.importBegin(ctx, true); err != nil {
		return false, err
	}
	if c.shadow == 0 {
		if c.shadow, err = c.importBegin(ctx, false); err != nil {
			return false, err
		}
	}
	c.cursor = nil
	return out.Frozen, c.copied(ctx, command.MoveCopied{})
}

// importBegin begins the copy, after what an earlier one left was removed.
func (c *carriage) importBegin(ctx context.Context, fresh bool) (rookery.LogIndex, error) {
	for {
		r, err := c.apply(ctx, c.To, &command.ImportBegin{Account: c.Account, Move: c.Move, Turn: c.turn, From: c.From, Fresh: fresh})
		if err == nil {
			return r.(*command.ImportBegun).Shadow, nil
		}
		if !rookery.Is(err, rookery.KindConflict) {
			return 0, err
		}
		if more, perr := c.reap(ctx, c.To); perr != nil || !more {
			// Once more at the end: the last of it may just have gone.
			if r, err := c.apply(ctx, c.To, &command.ImportBegin{Account: c.Account, Move: c.Move, Turn: c.turn, From: c.From,
				Fresh: fresh}); err == nil {
				return r.(*command.ImportBegun).Shadow, nil
			}
			return 0, err
		}
	}
}

// reap removes some rows of what the account has deleted, or left, in a group.
func (c *carriage) reap(ctx context.Context, group rookery.GroupID) (more bool, err error) {
	r, err := c.apply(ctx, group, &command.PurgeExpunged{Account: c.Account})
	if err != nil {
		return false, err
	}
	return r.(*command.PurgeResult).More, nil
}

// copied records how far the copy is.
func (c *carriage) copied(ctx context.Context, rec command.MoveCopied) error {
	rec.Account, rec.Move, rec.Turn, rec.Shadow = c.Account, c.Move, c.turn, c.shadow
	_, err := c.apply(ctx, c.From, &rec)
	return err
}

// follow copies every row once, then what has changed, until little is left.
func (c *carriage) follow(ctx context.Context) error {
	if err := c.first(ctx); err != nil {
		return err
	}
	return c.settle(ctx)
}

// settle copies what is marked until little is left.
func (c *carriage) settle(ctx context.Context) error {
	for range rounds {
		if err := c.marks(ctx); err != nil {
			return err
		}
		n, err := c.pending(fewMarks)
		if err != nil || n < fewMarks {
			return err
		}
	}
	return nil
}

// count counts the account while it serves, and copies what changed meanwhile.
func (c *carriage) count(ctx context.Context) (err error) {
	for range counts {
		c.uncount()
		if c.census, err = c.source.Census(ctx, c.Account); err != nil {
			return err
		}
		if err = c.settle(ctx); err != nil || !c.census.Stale() {
			return err
		}
	}
	return nil
}

func (c *carriage) uncount() {
	if c.census != nil {
		c.census.Close()
		c.census = nil
	}
}

// first is the pass over all rows. Each part is read as it is by then: what
// changes behind the cursor is marked.
func (c *carriage) first(ctx context.Context) error {
	for n := 1; len(c.cursor) == 0 || c.cursor[0] != ended[0]; n++ {
		last, err := c.firstPart(ctx)
		if err != nil {
			return err
		}
		if c.cursor = last; n%cursorEvery == 0 || last[0] == ended[0] {
			if err := c.copied(ctx, command.MoveCopied{Cursor: last}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *carriage) firstPart(ctx context.Context) (last []byte, err error) {
	x := c.source.Export(c.Account)
	defer x.Close()
	rows, err := x.Rows(c.cursor, c.chunk)
	if err != nil || len(rows) == 0 {
		return ended, err
	}
	return rows[len(rows)-1].Key, c.send(ctx, x, nil, rows)
}

// marks copies what is marked now, once.
func (c *carriage) marks(ctx context.Context) error {
	for more := true; more; {
		var err error
		if more, err = c.markPart(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *carriage) markPart(ctx context.Context) (more bool, err error) {
	x := c.source.Export(c.Account)
	defer x.Close()
	index, err := x.Index()
	if err != nil {
		return false, err
	}
	part, err := x.Marks(c.chunk)
	if err != nil || len(part.Upto) == 0 {
		return false, err
	}
	if c.census != nil {
		c.census.Changed(part)
	}
	if err := c.send(ctx, x, part.Clear, part.Rows); err != nil {
		return false, err
	}
	return part.More, c.copied(ctx, command.MoveCopied{Index: index, Upto: part.Upto})
}

func (c *carriage) pending(limit int) (int, error) {
	x := c.source.Export(c.Account)
	defer x.Close()
	return x.Pending(limit)
}

// send writes rows into the copy, and brings the bodies that it lacks.
func (c *carriage) send(ctx context.Context, x *mailbox.Export, clear [][]byte, rows []command.ImportRow) error {
	r, err := c.apply(ctx, c.To, &command.Import{Account: c.Account, Move: c.Move, Turn: c.turn, Clear: clear, Rows: rows})
	if err != nil {
		return err
	}
	return c.bodies(ctx, x, r.(*command.ImportResult).Lacking)
}

// freeze takes the account out of service.
func (c *carriage) freeze(ctx context.Context) error {
	for {
		buried, err := c.buried()
		if err != nil {
			return err
		}
		if !buried {
			break
		}
		if _, err := c.reap(ctx, c.From); err != nil {
			return err
		}
	}
	if err := c.count(ctx); err != nil { // as little as can be is left for the pause
		return err
	}
	_, err := c.apply(ctx, c.From, &command.MoveFreeze{Account: c.Account, Move: c.Move, Turn: c.turn})
	return err
}

func (c *carriage) buried() (bool, error) {
	x := c.source.Export(c.Account)
	defer x.Close()
	return x.Buried()
}

// cutOver copies the rest of a frozen account, has the target compare, and
// decides the move.
func (c *carriage) cutOver(ctx context.Context) error {
	if err := c.first(ctx); err != nil { // a copy that was begun anew
		return err
	}
	if err := c.marks(ctx); err != nil {
		return err
	}
	x := c.source.Export(c.Account)
	defer x.Close()
	if n, err := x.Pending(1); err != nil || n > 0 {
		return rookery.E("move account", rookery.KindUnavailable, fmt.Errorf("a frozen account has changed: %v", err))
	}
	seal := &command.ImportSeal{Account: c.Account, Move: c.Move, Turn: c.turn}
	var err error
	if seal.Record, err = x.Record(); err != nil {
		return err
	}
	if seal.Rows, seal.Digest, err = c.digest(ctx, x); err != nil {
		return err
	}
	c.counted(c.Move, seal.Rows)
	if _, err := c.apply(ctx, c.To, seal); err != nil {
		return err
	}
	return c.system(ctx, &command.SwitchMove{Account: c.Account, Move: c.Move})
}

// digest is the source's, of the frozen account.
func (c *carriage) digest(ctx context.Context, x *mailbox.Export) (rows uint64, digest [16]byte, err error) {
	if c.census == nil {
		return x.Digest(ctx)
	}
	return c.census.Digest(ctx, x)
}
