package system

import (
	"encoding/binary"
	"fmt"
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

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

func moveKey(a rookery.AccountID) []byte { return append([]byte{tableMove}, a[:]...) }

// Moves lists the moves under way, in the order of account ids.
func (m *Machine) Moves() (moves []AccountMove, err error) {
	err = m.read(func(r state.Reader) error {
		moves, err = readMoves(r)
		return err
	})
	return moves, err
}

// Move is an account's move. The error is KindNotFound.
func (m *Machine) Move(id rookery.AccountID) (x AccountMove, err error) {
	err = m.read(func(r state.Reader) error {
		found, err := findMove(r, id, &x)
		if err == nil && !found {
			err = rookery.E("find move", rookery.KindNotFound, fmt.Errorf("account %s is not being moved", id))
		}
		return err
	})
	return x, err
}

func readMoves(r state.Reader) (moves []AccountMove, err error) {
	err = scan(r, tableMove, func(k, v []byte) error {
		if len(k) != 16 {
			return damaged("moves")
		}
		x := AccountMove{Account: rookery.AccountID(k)}
		err := decode("moves", v, &x)
		moves = append(moves, x)
		return err
	})
	return moves, err
}

func findMove(r state.Reader, id rookery.AccountID, x *AccountMove) (bool, error) {
	v, err := r.Get(moveKey(id))
	if err != nil || v == nil {
		return false, err
	}
	x.Account = id
	return true, decode("moves", v, x)
}

// moveAt is an account's move if it is this one.
func moveAt(tx state.Tx, id rookery.AccountID, move command.MoveID) (x AccountMove, ok bool) {
	ok, err := findMove(tx, id, &x)
	must(err)
	return x, ok && x.Move == move
}

func (m *Machine) beginMove(tx state.Tx, c *command.BeginMove) (command.Result, error) {
	v := get(tx, accountKey(c.Account))
	if len(v) < 4 {
		return nil, refuse(rookery.KindNotFound, "account %s is not in the map", c.Account)
	}
	from := rookery.GroupID(binary.BigEndian.Uint32(v))
	var x AccountMove
	found, err := findMove(tx, c.Account, &x)
	must(err)
	switch {
	case found && x.To == c.To && x.State != MoveAbandoned:
		return &command.BegunMove{Move: x.Move, From: x.From}, nil
	case found:
		return nil, refuse(rookery.KindConflict, "account %s is being moved to group %d (%s); wait until that has ended", c.Account, x.To, x.State)
	case erasing(tx, c.Account) != nil:
		return nil, errErasing(c.Account)
	case from == c.To:
		return nil, refuse(rookery.KindExists, "account %s is in group %d already", c.Account, c.To)
	}
	var p GroupPlacement
	found, err = findGroup(tx, c.To, &p)
	must(err)
	switch {
	case !found || c.To <= rookery.SystemGroup:
		return nil, refuse(rookery.KindNotFound, "there is no mail group %d", c.To)
	case p.Void:
		return nil, refuse(rookery.KindConflict, "group %d is void: the node that alone could begin it was removed", c.To)
	case !p.Begun():
		return nil, refuse(rookery.KindConflict, "group %d has not begun yet", c.To)
	}
	moves, err := readMoves(tx)
	must(err)
	if len(moves) >= command.MaxMoves {
		return nil, refuse(rookery.KindLimit, "%d accounts are being moved, at most that many at once", len(moves))
	}
	x = AccountMove{Move: command.MoveID(tx.Index()), From: from, To: c.To, Begun: tx.Time()}
	put(tx, moveKey(c.Account), &x)
	m.changed(tx)
	return &command.BegunMove{Move: x.Move, From: from}, nil
}

// switchMove is where a move is decided: the account's rows in the map change.
func (m *Machine) switchMove(tx state.Tx, c *command.SwitchMove) (command.Result, error) {
	x, ok := moveAt(tx, c.Account, c.Move)
	switch {
	case !ok:
		return nil, refuse(rookery.KindConflict, "move %d of account %s has ended", c.Move, c.Account)
	case x.State == MoveAbandoned:
		return nil, refuse(rookery.KindConflict, "move %d of account %s was abandoned", c.Move, c.Account)
	case x.State == MoveSwitched:
		return &command.Done{}, nil
	}
	v := get(tx, accountKey(c.Account))
	if len(v) < 4 {
		return nil, refuse(rookery.KindConflict, "account %s was taken off the map", c.Account)
	}
	key := string(v[4:])
	group := binary.BigEndian.AppendUint32(nil, uint32(x.To))
	must(tx.Set(keyKey(key), append(append([]byte(nil), c.Account[:]...), group...)))
	must(tx.Set(accountKey(c.Account), append(group, key...)))
	x.State = MoveSwitched
	put(tx, moveKey(c.Account), &x)
	m.changed(tx)
	return &command.Done{}, nil
}

func (m *Machine) abandonMove(tx state.Tx, c *command.AbandonMove) (command.Result, error) {
	x, ok := moveAt(tx, c.Account, c.Move)
	switch {
	case !ok || x.State == MoveAbandoned:
		return &command.Done{}, nil
	case x.State == MoveSwitched:
		return nil, refuse(rookery.KindConflict, "account %s is in group %d by now: move it back instead", c.Account, x.To)
	}
	m.abandon(tx, x, c.Reason)
	return &command.Done{}, nil
}

func (m *Machine) abandon(tx state.Tx, x AccountMove, reason string) {
	x.State, x.Reason = MoveAbandoned, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
	put(tx, moveKey(x.Account), &x)
	m.changed(tx)
}

// abandonErased gives up a move that is not decided: its account is erased.
func (m *Machine) abandonErased(tx state.Tx, id rookery.AccountID) {
	var x AccountMove
	found, err := findMove(tx, id, &x)
	must(err)
	if found && x.State == MoveCopying {
		m.abandon(tx, x, "the account was erased")
	}
}

func (m *Machine) endMove(tx state.Tx, c *command.EndMove) (command.Result, error) {
	x, ok := moveAt(tx, c.Account, c.Move)
	switch {
	case !ok:
		return &command.Done{}, nil
	case x.State == MoveCopying:
		return nil, refuse(rookery.KindConflict, "move %d of account %s is not decided", c.Move, c.Account)
	}
	must(tx.Delete(moveKey(c.Account)))
	m.changed(tx)
	return &command.Done{}, nil
}
