package node

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"rookery"
	"rookery/storage/command"
)

// errBroken marks a promise that the node has broken.
var errBroken = errors.New("broken promise")

// ledger is what the clients of a node know: what was acknowledged to them,
// what they have seen, and what they have asked for and got no answer to.
// Nothing that happens after the power went is known to anyone.
type ledger struct {
	mu       sync.Mutex
	off      bool // the power has gone
	attempts map[string]*attempt
	people   []*person
	serial   int
}

// attempt is one message, sent or appended under its own id.
type attempt struct {
	id    string
	size  int
	to    []int // people
	box   rookery.MailboxID
	flags command.Flags
	acked bool
	dead  bool // known never to have been filed
}

// person is one account as its client knows it.
type person struct {
	number   int
	account  rookery.AccountID
	rows     map[string]place // messages by their ids
	gone     map[string]bool  // expunged
	boxes    map[rookery.MailboxID]*box
	modseq   rookery.ModSeq
	pending  *pending
	verified map[string]bool // whose body was read once
}

// place is where a message is, and how.
type place struct {
	box    rookery.MailboxID
	uid    rookery.UID
	flags  command.Flags
	modseq rookery.ModSeq
}

// box is the memory of a mailbox: what may only rise, and the cache of a
// client that resynchronises by MODSEQ.
type box struct {
	validity  rookery.UIDValidity
	top, next rookery.UID
	high      rookery.ModSeq
	cache     map[rookery.UID]command.Flags
}

type verb string

const (
	verbStore   verb = "STORE"
	verbMove    verb = "MOVE"
	verbExpunge verb = "EXPUNGE"
	verbAppend  verb = "APPEND"
)

// pending is the one change of a person that has no answer yet.
type pending struct {
	verb  verb
	ids   []string
	flags command.Flags // STORE: those they have after it
	to    rookery.MailboxID
}

// seen is one row as it was read.
type seen struct {
	id string
	place
}

// reading is one account read in one view.
type reading struct {
	rows  []seen
	boxes map[rookery.MailboxID]boxReading
	// modseq is the account's.
	modseq rookery.ModSeq
}

type boxReading struct {
	validity rookery.UIDValidity
	next     rookery.UID
	high     rookery.ModSeq
	// resynced is what the client's cache becomes by the changes since it.
	resynced map[rookery.UID]command.Flags
	complete bool
}

func newLedger(accounts []rookery.AccountID) *ledger {
	l := &ledger{attempts: map[string]*attempt{}}
	for i, id := range accounts {
		l.people = append(l.people, &person{number: i, account: id, rows: map[string]place{}, gone: map[string]bool{},
			boxes: map[rookery.MailboxID]*box{}, verified: map[string]bool{}})
	}
	return l
}

// begin notes an attempt before it is made.
func (l *ledger) begin(a attempt) *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serial++
	a.id = fmt.Sprintf("m%06d", l.serial)
	l.attempts[a.id] = &a
	return &a
}

// answer runs fn if the answer to a client came before the power went.
func (l *ledger) answer(fn func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off {
		return nil
	}
	return fn()
}

// judge compares a reading with what the person knows and returns every
// promise broken. settled says that nothing is under way: what is
// acknowledged must be there.
func (l *ledger) judge(p *person, r reading, settled bool) error {
	var broken []error
	bad := func(format string, args ...any) {
		broken = append(broken, fmt.Errorf("%w: %s: %s", errBroken, login(p.number), fmt.Sprintf(format, args...)))
	}
	byID := map[string]seen{}
	for _, s := range r.rows {
		if other, twice := byID[s.id]; twice {
			bad("%s is there twice: %+v and %+v", s.id, other.place, s.place)
		}
		byID[s.id] = s
		if _, known := p.rows[s.id]; !known {
			l.judgeNew(p, s, bad)
		}
	}
	p.judgeKnown(byID, bad)
	if settled {
		for _, id := range slices.Sorted(maps.Keys(l.attempts)) {
			a := l.attempts[id]
			if _, there := byID[id]; a.acked && slices.Contains(a.to, p.number) && !there && !p.gone[id] {
				if _, known := p.rows[id]; !known {
					bad("%s was acknowledged and is lost (%d bytes, %d recipients)", id, a.size, len(a.to))
				}
			}
		}
	}
	p.judgeBoxes(r, bad)
	return errors.Join(broken...)
}

// judgeNew judges a row that the person has not seen before.
func (l *ledger) judgeNew(p *person, s seen, bad func(string, ...any)) {
	a := l.attempts[s.id]
	switch {
	case a == nil || !slices.Contains(a.to, p.number):
		bad("%q at %+v was never sent here", s.id, s.place)
	case p.gone[s.id]:
		bad("%s was expunged and is there again at %+v", s.id, s.place)
	case a.dead:
		bad("%s was not there after a restart and is there now at %+v", s.id, s.place)
	case s.box != a.box || s.flags != a.flags:
		bad("%s is at %+v and was filed in mailbox %d with flags %v", s.id, s.place, a.box, a.flags)
	case p.boxes[s.box] != nil && s.uid < p.boxes[s.box].next:
		bad("%s is new and has UID %d, below the UIDNEXT %d seen before", s.id, s.uid, p.boxes[s.box].next)
	}
}

// judgeKnown judges the rows that the person knows: where each was, or, for
// those of an unanswered change, all of them before it or all after it.
func (p *person) judgeKnown(byID map[string]seen, bad func(string, ...any)) {
	before, after := 0, 0
	for _, id := range slices.Sorted(maps.Keys(p.rows)) {
		was := p.rows[id]
		now, there := byID[id]
		touched := p.pending != nil && slices.Contains(p.pending.ids, id)
		switch {
		case there && now.place == was:
			if touched && (p.pending.verb != verbStore || p.pending.flags != was.flags) {
				before++
			}
		case !touched && !there:
			bad("%s at %+v is lost", id, was)
		case !touched:
			bad("%s was at %+v and is at %+v", id, was, now.place)
		case p.follows(was, now.place, there):
			after++
		case !there:
			bad("%s at %+v is lost in an unanswered %s", id, was, p.pending.verb)
		default:
			bad("%s was at %+v and is at %+v after an unanswered %s", id, was, now.place, p.pending.verb)
		}
	}
	if before > 0 && after > 0 {
		bad("an unanswered %s was done for %d messages and not for %d", p.pending.verb, after, before)
	}
}

// follows reports whether a place is what the pending change makes of another.
func (p *person) follows(was, now place, there bool) bool {
	switch p.pending.verb {
	case verbExpunge:
		return !there
	case verbStore:
		return there && now.box == was.box && now.uid == was.uid && now.flags == p.pending.flags && now.modseq > was.modseq
	case verbMove:
		to := p.boxes[p.pending.to]
		return there && now.box == p.pending.to && now.flags == was.flags && now.modseq > was.modseq && (to == nil || now.uid >= to.next)
	}
	return false
}

// judgeBoxes judges what may only rise, and what a client's cache becomes.
func (p *person) judgeBoxes(r reading, bad func(string, ...any)) {
	if r.modseq < p.modseq {
		bad("MODSEQ went back from %d to %d", p.modseq, r.modseq)
	}
	for id, b := range p.boxes {
		now, ok := r.boxes[id]
		if !ok {
			bad("mailbox %d is lost", id)
			continue
		}
		if now.validity != b.validity {
			bad("UIDVALIDITY of mailbox %d was %d and is %d", id, b.validity, now.validity)
		}
		if now.next < b.next || now.next <= b.top {
			bad("UIDNEXT of mailbox %d was %d, UID %d was seen, and it is %d", id, b.next, b.top, now.next)
		}
		if now.high < b.high || now.high > r.modseq {
			bad("HIGHESTMODSEQ of mailbox %d was %d and is %d, the account's is %d", id, b.high, now.high, r.modseq)
		}
		rows := map[rookery.UID]command.Flags{}
		for _, s := range r.rows {
			if s.box == id {
				rows[s.uid] = s.flags
				if s.modseq > now.high {
					bad("%s has MODSEQ %d in mailbox %d whose highest is %d", s.id, s.modseq, id, now.high)
				}
			}
		}
		if now.complete && !maps.Equal(rows, now.resynced) {
			bad("mailbox %d holds %v; a client that was in step at MODSEQ %d would show %v", id, rows, b.high, now.resynced)
		}
	}
}

// learn makes a reading what the person knows.
func (l *ledger) learn(p *person, r reading) {
	for id := range p.rows {
		if !slices.ContainsFunc(r.rows, func(s seen) bool { return s.id == id }) {
			p.gone[id] = true
		}
	}
	p.rows, p.modseq, p.pending = map[string]place{}, r.modseq, nil
	for id, now := range r.boxes {
		if p.boxes[id] == nil {
			p.boxes[id] = &box{}
		}
		b := p.boxes[id]
		b.validity, b.next, b.high, b.cache = now.validity, now.next, now.high, map[rookery.UID]command.Flags{}
	}
	for _, s := range r.rows {
		b := p.boxes[s.box]
		b.top = max(b.top, s.uid)
		b.cache[s.uid] = s.flags
		p.rows[s.id] = s.place
	}
}

// settle judges what concerns several people, after all of them were read
// and nothing is under way: an unanswered message is with all its recipients
// or with none, and in that case never comes.
func (l *ledger) settle() error {
	var broken []error
	for id, a := range l.attempts {
		if a.acked || a.dead {
			continue
		}
		n := 0
		for _, i := range a.to {
			if _, ok := l.people[i].rows[id]; ok || l.people[i].gone[id] {
				n++
			}
		}
		if n > 0 && n < len(a.to) {
			broken = append(broken, fmt.Errorf("%w: %s has reached %d of %d recipients", errBroken, id, n, len(a.to)))
		}
		a.dead = n == 0
		a.acked = n > 0 // seen by its recipients: it may not go any more
	}
	return errors.Join(broken...)
}

func (l *ledger) counts() (acked, open int) {
	for _, a := range l.attempts {
		if a.acked {
			acked++
		} else {
			open++
		}
	}
	return acked, open
}
