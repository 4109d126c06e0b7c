package session

import "rookery"

// Outcome is what became of one recipient.
type Outcome uint8

// The outcomes. Lost is what nobody answered: the connection ended, the peer
// spoke nonsense, or we ended it.
const (
	Lost       Outcome = iota
	Accepted           // the peer has the message, and is responsible for it
	Refused            // Reply says no
	Unsendable         // nothing was said of this recipient; Err says why
)

func (o Outcome) String() string { return [...]string{"lost", "accepted", "refused", "unsendable"}[o] }

// Status is the result for one recipient.
type Status struct {
	Outcome Outcome
	// Stage is where it was decided.
	Stage Stage
	// Reply decided it, for Accepted and Refused.
	Reply Reply
	// Err says why, for Lost and Unsendable.
	Err error
}

// Doubtful says that the peer may have accepted the message although nobody
// knows: the connection was lost between the final dot and its reply.
func (s Status) Doubtful() bool { return s.Outcome == Lost && s.Stage == AtEnd }

// Permanent says that the same message will not be taken later either.
func (s Status) Permanent() bool {
	return s.Outcome == Unsendable || s.Outcome == Refused && s.Reply.Code/100 == 5
}

// delivery is a transaction under way.
type delivery struct {
	s       *Session
	results []Status
	decided []bool
}

func newDelivery(s *Session, p plan) *delivery {
	d := &delivery{s: s, results: make([]Status, len(p.rcpt)), decided: make([]bool, len(p.rcpt))}
	for i, line := range p.rcpt {
		if line == "" {
			d.decide(i, Status{Outcome: Unsendable, Stage: AtRcpt, Err: rookery.E("smtp recipient", rookery.KindInvalid, ErrUTF8)})
		}
	}
	return d
}

func (d *delivery) decide(i int, s Status) {
	if !d.decided[i] {
		d.results[i], d.decided[i] = s, true
	}
}

// rest decides all that are not yet.
func (d *delivery) rest(s Status) {
	for i := range d.results {
		d.decide(i, s)
	}
}

// lose decides the rest where the connection ended. A peer that said 421 before
// has refused them.
func (d *delivery) lose(at Stage, err error) {
	if r := d.s.wire.goodbye; r.Code != 0 {
		d.rest(Status{Outcome: Refused, Stage: at, Reply: r})
		return
	}
	d.rest(Status{Outcome: Lost, Stage: at, Err: lost(at, err)})
}

// answered decides the rest by a reply.
func (d *delivery) answered(at Stage, r Reply) {
	o := Refused
	if r.Code/100 == 2 {
		o = Accepted
	}
	d.rest(Status{Outcome: o, Stage: at, Reply: r})
}

func (d *delivery) open() bool {
	for _, done := range d.decided {
		if !done {
			return true
		}
	}
	return false
}
