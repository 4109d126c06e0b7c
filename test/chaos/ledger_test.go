package chaos

import (
	"fmt"
	"sort"
	"sync"
)

// ledger records what every attempt to send was answered, and what every
// mailbox has shown under each UID.
type ledger struct {
	mu       sync.Mutex
	attempts map[string]*attempt
	shown    map[string]map[uint32]string // login -> UID -> attempt
	validity map[string]uint32
}

// attempt is one message under its own id.
type attempt struct {
	to    []string
	acked bool // answered 250
}

func newLedger() *ledger {
	return &ledger{attempts: map[string]*attempt{}, shown: map[string]map[uint32]string{}, validity: map[string]uint32{}}
}

func (l *ledger) begin(id string, to []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts[id] = &attempt{to: to}
}

func (l *ledger) ack(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts[id].acked = true
}

func (l *ledger) counts() (acked, unanswered int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.attempts {
		if a.acked {
			acked++
		} else {
			unanswered++
		}
	}
	return acked, unanswered
}

// missing lists acknowledged attempts that a mailbox does not show.
func (l *ledger) missing(boxes map[string]map[uint32]string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	have := map[string]bool{}
	for login, box := range boxes {
		for _, id := range box {
			have[login+" "+id] = true
		}
	}
	var lost []string
	for id, a := range l.attempts {
		for _, to := range a.to {
			if a.acked && !have[to+" "+id] {
				lost = append(lost, to+" "+id)
			}
		}
	}
	sort.Strings(lost)
	return lost
}

// observe compares mailboxes with all that was seen before: nothing twice,
// no UID that names something else, no new UID below an old one, no UID gone.
func (l *ledger) observe(login string, validity uint32, box map[uint32]string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wrong []string
	bad := func(format string, args ...any) { wrong = append(wrong, login+": "+fmt.Sprintf(format, args...)) }
	if v, ok := l.validity[login]; ok && v != validity {
		bad("UIDVALIDITY was %d and is %d", v, validity)
	}
	l.validity[login] = validity
	before := l.shown[login]
	var highest uint32
	for uid, id := range before {
		highest = max(highest, uid)
		if box[uid] != id {
			bad("UID %d named %s and names %q", uid, id, box[uid])
		}
	}
	times := map[string]int{}
	for uid, id := range box {
		times[id]++
		if times[id] == 2 {
			bad("attempt %s is there more than once", id)
		}
		if before[uid] == "" && uid <= highest {
			bad("new message %s has UID %d, below the %d seen before", id, uid, highest)
		}
		if a := l.attempts[id]; a == nil {
			bad("message %q was never sent", id)
		}
	}
	l.shown[login] = box
	return wrong
}
