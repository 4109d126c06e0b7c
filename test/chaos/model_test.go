package chaos

import (
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"
)

// The model is one account with two mailboxes, as IMAP shows it. UIDs are
// allotted one after the other. What MODSEQ a change gets is the server's
// business: the model learns it from listings and holds it to rising.

type kind uint8

const (
	opAppend kind = iota // SMTP delivery or APPEND
	opStore
	opMove
	opCopy
	opExpunge
	opLook   // SELECT and FETCH
	opStatus // STATUS
)

var kindNames = [...]string{"append", "store", "move", "copy", "expunge", "select", "status"}

type input struct {
	kind  kind
	box   int
	id    string
	uid   uint32
	add   bool // STORE +FLAGS, else -FLAGS
	flags uint8
	since uint64 // UNCHANGEDSINCE; 0 is none
}

type output struct {
	unknown  bool   // it may have happened, at this time or a later
	uid      uint32 // APPENDUID or COPYUID's, 0 is none
	modified bool
	view     view
}

// view is a mailbox as a client saw it at one moment. Rows with a MODSEQ above
// high, and messages without a row, have changed since that moment.
type view struct {
	count    int
	validity uint64
	next     uint32
	high     uint64
	rows     []row
}

type row struct {
	seq    int
	uid    uint32
	id     string
	flags  uint8
	modseq uint64
}

type message struct {
	uid    uint32
	id     string
	flags  uint8
	modseq uint64 // 0: not seen yet since the last change
	above  uint64 // it is above this
}

type mailboxState struct {
	next     uint32
	high     uint64
	messages []message // by UID; never changed in place
}

type accountState [2]mailboxState

var accountModel = porcupine.Model{
	Init:  func() any { return accountState{{next: 1}, {next: 1}} },
	Step:  func(s, in, out any) (bool, any) { return step(s.(accountState), in.(input), out.(output)) },
	Equal: func(a, b any) bool { return a.(accountState).equal(b.(accountState)) },
	Hash:  hashState,
	DescribeOperation: func(in, out any) string {
		i, o := in.(input), out.(output)
		s := fmt.Sprintf("%s %s", kindNames[i.kind], boxNames[i.box])
		switch i.kind {
		case opAppend:
			s += fmt.Sprintf(" %s", i.id)
		case opStore:
			s += fmt.Sprintf(" uid %d add %v [%s] since %d modified %v", i.uid, i.add, flagList(i.flags), i.since, o.modified)
		case opLook, opStatus:
			s += fmt.Sprintf(" -> %d messages, next %d, high %d %v", o.view.count, o.view.next, o.view.high, o.view.rows)
		default:
			s += fmt.Sprintf(" uid %d", i.uid)
		}
		if o.unknown {
			return s + " -> unknown"
		}
		return fmt.Sprintf("%s -> uid %d", s, o.uid)
	},
	DescribeState: func(s any) string { return fmt.Sprintf("%+v", s) },
}

func (a accountState) equal(b accountState) bool {
	for i := range a {
		if a[i].next != b[i].next || a[i].high != b[i].high || !slices.Equal(a[i].messages, b[i].messages) {
			return false
		}
	}
	return true
}

func hashState(s any) uint64 {
	h := uint64(14695981039346656037)
	mix := func(n uint64) { h = (h ^ n) * 1099511628211 }
	for _, b := range s.(accountState) {
		mix(uint64(b.next))
		mix(b.high)
		for _, m := range b.messages {
			mix(uint64(m.uid)<<8 | uint64(m.flags))
			mix(m.modseq)
			mix(m.above)
		}
	}
	return h
}

func step(s accountState, in input, out output) (bool, accountState) {
	b := s[in.box]
	switch in.kind {
	case opLook:
		ok := b.shows(out.view)
		s[in.box] = b
		return ok, s
	case opStatus:
		ok := b.counts(out.view)
		s[in.box] = b
		return ok, s
	case opAppend:
		if out.uid != 0 && out.uid != b.next {
			return false, s
		}
		b.add(in.id, 0)
		s[in.box] = b
		return true, s
	}
	at, found := slices.BinarySearchFunc(b.messages, in.uid, func(m message, uid uint32) int { return int(m.uid) - int(uid) })
	if !found {
		return out.unknown || out.uid == 0 && !out.modified, s
	}
	m := b.messages[at]
	switch in.kind {
	case opStore:
		return b.store(at, in, out), s.with(in.box, b)
	case opExpunge:
		if m.flags&deletedFlag != 0 {
			b.remove(at)
		}
		return true, s.with(in.box, b)
	}
	// COPY and MOVE, into the other mailbox.
	dst := s[1-in.box]
	if !out.unknown && out.uid != dst.next {
		return false, s
	}
	dst.add(m.id, m.flags)
	if in.kind == opMove {
		b.remove(at)
	}
	return true, s.with(in.box, b).with(1-in.box, dst)
}

func (a accountState) with(box int, b mailboxState) accountState {
	a[box] = b
	return a
}

func (b *mailboxState) add(id string, flags uint8) {
	b.messages = append(slices.Clip(b.messages), message{uid: b.next, id: id, flags: flags, above: b.high})
	b.next++
}

func (b *mailboxState) remove(at int) {
	b.messages = append(slices.Clone(b.messages[:at]), b.messages[at+1:]...)
}

func (b *mailboxState) replace(at int, m message) {
	b.messages = slices.Clone(b.messages)
	b.messages[at] = m
}

// store answers whether the outcome is right. A condition names a MODSEQ that
// the client has seen this message with, so the model has seen it too.
func (b *mailboxState) store(at int, in input, out output) bool {
	m := b.messages[at]
	modified := in.since != 0 && (m.modseq == 0 || m.modseq > in.since)
	if !out.unknown && modified != out.modified {
		return false
	}
	flags := m.flags &^ in.flags
	if in.add {
		flags = m.flags | in.flags
	}
	if !modified && flags != m.flags {
		m.flags, m.modseq, m.above = flags, 0, b.high
		b.replace(at, m)
	}
	return true
}

func (b *mailboxState) counts(v view) bool {
	if v.count != len(b.messages) || v.next != b.next || v.high < b.high {
		return false
	}
	b.high = v.high
	return true
}

func (b *mailboxState) shows(v view) bool {
	if !b.counts(v) {
		return false
	}
	cloned := false
	for _, r := range v.rows {
		if r.seq < 1 || r.seq > len(b.messages) {
			return false
		}
		m := b.messages[r.seq-1]
		if m.uid != r.uid || m.id != r.id {
			return false
		}
		if r.modseq > v.high {
			continue // changed after the moment of the listing
		}
		if m.flags != r.flags || m.modseq != 0 && m.modseq != r.modseq || m.modseq == 0 && r.modseq <= m.above {
			return false
		}
		if m.modseq == 0 {
			if !cloned {
				b.messages, cloned = slices.Clone(b.messages), true
			}
			m.modseq, m.above = r.modseq, 0
			b.messages[r.seq-1] = m
		}
	}
	return true
}
