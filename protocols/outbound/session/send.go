package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// group is how many RCPT are sent before their replies are read. What a peer
	// answers to so many fits into any buffer on the way, so that neither side
	// waits for the other to read (RFC 2920 3.1).
	group = 50
	// envelopeTime bounds MAIL, all RCPT and DATA together.
	envelopeTime = 30 * time.Minute
)

// Send brings one message to its recipients, and gives a result for each of them
// in their order. The error is for what was not tried: the message cannot be
// sent so (ErrLineEnds and the others), or the session is over.
//
// may is asked right before the octets with which the peer may accept the
// message; an error of it ends the connection, and nobody is sent the message.
// It may be nil. The context's end closes the connection.
func (s *Session) Send(ctx context.Context, e Envelope, m Message, may func(context.Context) error) ([]Status, error) {
	if !s.Usable() {
		return nil, lost(AtMail, s.wire.dead)
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	p, err := s.plan(&e, m.Form)
	if err != nil {
		return nil, err
	}
	d := newDelivery(s, p)
	if !d.open() {
		return d.results, nil
	}
	defer s.wire.bind(ctx)()
	if s.began {
		if err := s.reset(); err != nil {
			d.failed(AtReset, err)
			return d.results, nil
		}
	}
	s.began = true
	s.wire.until = time.Now().Add(envelopeTime)
	content := d.envelope(p)
	if content {
		s.wire.until = time.Now().Add(s.o.Timeouts.Content)
		d.content(ctx, p, m, may)
	}
	s.wire.until = time.Time{}
	return d.results, nil
}

// failed decides the rest by what command said.
func (d *delivery) failed(at Stage, err error) {
	var e *Error
	if errors.As(err, &e) && e.Reply.Code != 0 {
		d.answered(at, e.Reply)
		return
	}
	d.lose(at, err)
}

// step is one command of the envelope.
type step struct {
	at        Stage
	line      string
	recipient int
}

// steps are MAIL, RCPT for all that can be sent to, and DATA.
func (p plan) steps() []step {
	all := []step{{at: AtMail, line: p.mail}}
	for i, line := range p.rcpt {
		if line != "" {
			all = append(all, step{AtRcpt, line, i})
		}
	}
	if !p.chunks {
		all = append(all, step{at: AtData, line: "DATA"})
	}
	return all
}

// envelope says all up to the content, and reports whether that is to follow.
func (d *delivery) envelope(p plan) (content bool) {
	size := 1
	if p.pipeline {
		size = group
	}
	ready := p.chunks // BDAT needs no word before it
	for all := p.steps(); len(all) > 0; {
		n := min(size, len(all))
		if err := d.say(all[:n]); err != nil {
			return false
		}
		for _, st := range all[:n] {
			r, err := d.hear(st)
			if err != nil {
				d.lose(st.at, err)
				return false
			}
			ready = d.judge(st, r) || ready
		}
		if !d.open() && n == len(all) && ready && !p.chunks {
			d.nothing()
		}
		if dead := d.s.wire.dead; !d.open() || dead != nil {
			d.lose(AtData, dead)
			return false
		}
		all = all[n:]
	}
	return ready && d.open()
}

// say sends commands in one write.
func (d *delivery) say(steps []step) error {
	w := d.s.wire
	w.within(d.s.timeout(steps[0].at))
	for _, st := range steps {
		if err := w.line(st.line); err != nil {
			d.lose(st.at, err)
			return err
		}
	}
	if err := w.flush(); err != nil {
		d.broken(steps[0].at, err)
		return err
	}
	return nil
}

// broken decides the rest where a write failed.
func (d *delivery) broken(at Stage, err error) {
	if r, ok := d.s.wire.farewell(); ok {
		d.answered(at, r)
		return
	}
	d.lose(at, err)
}

func (d *delivery) hear(st step) (Reply, error) {
	d.s.wire.within(d.s.timeout(st.at))
	return d.s.wire.reply()
}

func (s *Session) timeout(at Stage) time.Duration {
	switch at {
	case AtRcpt:
		return s.o.Timeouts.Rcpt
	case AtData:
		return s.o.Timeouts.Data
	}
	return s.o.Timeouts.Mail
}

// judge takes the reply to one command; true is the word to go on with content.
func (d *delivery) judge(st step, r Reply) bool {
	ok := r.Code/100 == 2
	switch st.at {
	case AtMail:
		if !ok {
			d.answered(AtMail, r)
		}
	case AtRcpt:
		if !ok {
			d.decide(st.recipient, Status{Outcome: Refused, Stage: AtRcpt, Reply: r})
		}
	case AtData:
		if r.Code == 354 {
			return true
		}
		if ok {
			// There is no such answer to DATA: what the peer does now is unknown, but
			// it has no message.
			d.s.wire.close()
			d.lose(AtData, fmt.Errorf("%w: DATA was answered %v", errReply, r))
			return false
		}
		d.answered(AtData, r)
	}
	return false
}

// nothing ends DATA that was on its way when all recipients were refused
// (RFC 2920 3.1). Whatever the peer says of no message for nobody is nothing.
func (d *delivery) nothing() {
	_, _ = d.s.command(AtData, d.s.o.Timeouts.End, ".")
}
