package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rookery"
)

// Outcome is what became of a command.
type Outcome uint8

// The outcomes. Only Executed ones have changed rows of the machine.
const (
	// Executed: the machine did what it says.
	Executed Outcome = iota + 1
	// Refused: the machine, or the envelope, refused it.
	Refused
	// Duplicate: it had come before, and was answered with the result kept.
	Duplicate
	// Fenced: its node has started again, or left, since it was sent.
	Fenced
	// Forgotten: it came again after its result was dropped.
	Forgotten
)

func (o Outcome) String() string {
	if o < Executed || o > Forgotten {
		return "unknown"
	}
	return [...]string{"executed", "refused", "duplicate", "fenced", "forgotten"}[o-Executed]
}

// Verdict is what became of a log entry with a command. An entry alone does not
// tell: only with its verdict can it be applied again elsewhere, without those
// before it, and do what it did (see Group.Replay).
type Verdict struct {
	Index rookery.LogIndex
	// Time is group time, unix nanoseconds: the command's own where it was
	// executed or refused by the machine, else that of the last one before.
	Time    int64
	Outcome Outcome
}

// Sizes in bytes of a verdict's row.
const (
	VerdictKey   = 8     // index
	VerdictValue = 8 + 1 // time, outcome
)

// archive is the row TableArchived, and whether there is one: no verdict is
// kept where there is none.
type archive struct {
	on   bool
	upto rookery.LogIndex
}

// SetArchived implements Tx.
func (t *txn) SetArchived(upto rookery.LogIndex) error {
	a := &t.group.archive
	switch {
	case !a.on:
		upto = t.index
	case upto <= a.upto:
		return nil
	case upto > t.index:
		return rookery.E("set archived", rookery.KindInvalid,
			fmt.Errorf("the archive cannot have entry %d before it is applied; this is entry %d", upto, t.index))
	default:
		if err := t.deleteRange(verdictKey(a.upto), verdictKey(upto+1)); err != nil {
			return err
		}
	}
	*a = archive{on: true, upto: upto}
	return t.set([]byte{TableArchived}, binary.BigEndian.AppendUint64(nil, uint64(upto)))
}

// EndArchive implements Tx.
func (t *txn) EndArchive() error {
	t.group.archive = archive{}
	return t.deleteRange([]byte{TableVerdict}, []byte{TableArchived + 1})
}

func verdictKey(index rookery.LogIndex) []byte {
	return binary.BigEndian.AppendUint64([]byte{TableVerdict}, uint64(index))
}

// judge keeps the verdict on an entry while an archive asks for it.
func (g *Group) judge(tx *txn, index rookery.LogIndex, time int64, o Outcome) {
	if !g.archive.on || index <= g.archive.upto {
		return
	}
	value := append(binary.BigEndian.AppendUint64(make([]byte, 0, VerdictValue), uint64(time)), byte(o))
	g.check(tx.set(verdictKey(index), value))
}

// Archived is the last entry that the archive is known to have, of which and of
// those before it no verdict is kept. on is false where nothing is archived.
func (s *Snap) Archived() (upto rookery.LogIndex, on bool, err error) {
	v, err := s.get([]byte{TableArchived})
	if err != nil || v == nil {
		return 0, false, err
	}
	if len(v) != 8 {
		return 0, false, rookery.E("read archived index", rookery.KindDamaged, fmt.Errorf("its row is %x", v))
	}
	return rookery.LogIndex(binary.BigEndian.Uint64(v)), true, nil
}

// Verdicts calls fn for the verdicts on the entries from <= index < to, rising,
// until it returns false. Entries without a command, those that the archive
// has and those applied before there was one have none.
func (s *Snap) Verdicts(from, to rookery.LogIndex, fn func(Verdict) (more bool)) error {
	if s.gone {
		return s.group.goneError()
	}
	return scanRows(s.snap, s.group, verdictKey(from), verdictKey(to), false, func(k, v []byte) (bool, error) {
		if err := CheckVerdict(k[1:], v); err != nil {
			return false, err
		}
		return fn(Verdict{rookery.LogIndex(binary.BigEndian.Uint64(k[1:])), int64(binary.BigEndian.Uint64(v)), Outcome(v[8])}), nil
	})
}

// CheckVerdict is the error, KindDamaged, of a row that is no verdict's; k is
// without the table.
func CheckVerdict(k, v []byte) error {
	if len(k) != VerdictKey || len(v) != VerdictValue || Outcome(v[8]).String() == "unknown" {
		return rookery.E("read verdict", rookery.KindDamaged, fmt.Errorf("row %x is %.64x", k, v))
	}
	return nil
}

// Replayed is an entry of an archive with the group time of its verdict.
type Replayed struct {
	rookery.Entry
	Time int64
}

// Replay applies executed commands of an archive, at their indexes and group
// times, whether or not all that stood between them in the log are there. It
// keeps no results and neither looks for duplicates nor fences: the verdicts
// have said. Otherwise it is Apply. The error is KindInvalid: indexes and times
// must rise, also above what the group has applied; then nothing is applied.
func (g *Group) Replay(entries []Replayed) (results [][]byte, err error) {
	all := make([]rookery.Entry, len(entries))
	last := g.applied
	for i := range entries {
		e := &entries[i]
		if e.Index <= last.index || e.Time <= last.time {
			return nil, rookery.E("replay", rookery.KindInvalid, errors.New("entries of an archive are out of order, or come twice"))
		}
		last.index, last.time = e.Index, e.Time
		all[i] = e.Entry
	}
	return g.apply(all, func(tx *txn, i int, pos *position) []byte {
		_, offset, err := Unwrap(all[i].Data)
		if err != nil {
			return Refuse(rookery.KindInvalid, err.Error())
		}
		pos.time, tx.replaying = entries[i].Time, true
		return g.run(tx, &all[i], pos, offset)
	}), nil
}
