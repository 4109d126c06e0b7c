package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	gosmtp "github.com/emersion/go-smtp"
	"rookery/protocols/delivery"
)

// Data takes the message. It returns only when all of it has been read, or when
// the connection will not be read again: what is left of a message must never
// be taken for commands.
func (s *session) Data(r io.Reader) error {
	_, chunked := r.(*io.PipeReader)
	s.mu.Lock()
	tx := s.tx
	s.arriving = chunked
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.arriving = false
		s.mu.Unlock()
	}()
	if tx == nil || len(tx.recipients) == 0 {
		s.wire.kill()
		return say(421, gosmtp.EnhancedCode{4, 3, 0}, "No recipients, closing the connection")
	}
	s.wire.messageBegins(!chunked)
	defer s.wire.messageRead()

	// Other servers must send clean lines, lest both sides disagree where a
	// message ends. Users' programs are forgiven.
	lines := delivery.Refuse
	if s.mode != MX {
		lines = delivery.Normalise
	}
	spool := s.server.o.Deliver.Spool(lines, 0)
	defer spool.Close()
	if refusal := s.receive(r, spool, chunked); refusal != nil {
		return refusal
	}
	if err := spool.Finish(); err != nil {
		return s.refuseMessage(tx, err)
	}
	return s.accept(tx, spool)
}

// receive moves the message into the spool. A message that the spool refuses is
// read to its end all the same.
func (s *session) receive(r io.Reader, spool *delivery.Spool, chunked bool) *gosmtp.SMTPError {
	buf := s.server.buffers.Get().(*[]byte)
	defer s.server.buffers.Put(buf)
	var end ending
	for {
		n, err := r.Read(*buf)
		if n > 0 {
			spool.Write((*buf)[:n]) // its error stays until Finish
			if !chunked && end.saw((*buf)[:n]) {
				// CR CR LF . CR LF: an end of message that the engine does
				// not see. What follows is not looked at.
				s.wire.kill()
				return say(554, gosmtp.EnhancedCode{5, 6, 0},
					"The message is malformed: a bare CR before its end; lines must end in CR LF (RFC 5321 2.3.8)")
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, errPause{}):
			s.wire.wait(end.looksFinished())
		case errors.Is(err, io.EOF):
			return nil
		default:
			return s.broken(err)
		}
	}
}

// broken answers a message that cannot be read to its end.
func (s *session) broken(err error) *gosmtp.SMTPError {
	if errors.Is(err, gosmtp.ErrDataTooLarge) {
		return gosmtp.ErrDataTooLarge // the engine reads the rest
	}
	if errors.Is(err, gosmtp.ErrDataReset) {
		return say(451, gosmtp.EnhancedCode{4, 3, 0}, "The message was abandoned")
	}
	s.wire.kill()
	s.logger.Info("smtp: message broke off", "client", s.wire.ip, "error", err)
	if errors.Is(err, gosmtp.ErrTooLongLine) {
		return say(554, gosmtp.EnhancedCode{5, 6, 0}, "A line of the message is too long")
	}
	return say(451, gosmtp.EnhancedCode{4, 4, 2}, "The message did not arrive in time or in full; closing the connection")
}

func (s *session) refuseMessage(tx *transaction, err error) error {
	a := answer(err)
	s.logger.Info("smtp: message refused", "from", tx.from, "client", s.wire.ip, "code", a.Code, "error", err)
	return a
}

// accept judges a message that has arrived and has it delivered.
func (s *session) accept(tx *transaction, spool *delivery.Spool) error {
	s.mu.Lock()
	user := s.user
	s.mu.Unlock()
	h := readHeader(spool.Head(), spool.Size())
	if h.received > maxReceived {
		return say(554, gosmtp.EnhancedCode{5, 4, 6}, "The message goes round in a loop: it has too many Received fields")
	}
	if s.mode != MX && h.cut {
		// What cannot be seen cannot be checked, nor what is missing be added.
		return say(554, gosmtp.EnhancedCode{5, 6, 0}, fmt.Sprintf("The header is larger than %d bytes", delivery.MemorySpool))
	}
	if user != nil && s.server.o.Sender == OwnSender {
		for _, a := range h.from {
			if !user.Has(a) {
				return say(550, gosmtp.EnhancedCode{5, 7, 1}, "The From field has an address that is not yours")
			}
		}
		if h.fromBroken {
			return say(554, gosmtp.EnhancedCode{5, 6, 0}, "The From field cannot be read")
		}
	}
	id := newID()
	trace := s.trace(tx, id, spool.Fixes())
	if s.mode != MX {
		trace = s.complete(trace, h, id)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), s.server.o.Limits.Commit)
	defer cancel()
	err := s.server.o.Deliver.Deliver(ctx, delivery.Request{
		From: tx.from, Recipients: tx.recipients, Trace: trace, Spool: spool, Session: s.id, ID: id,
	})
	if err != nil {
		s.logger.Warn("smtp: delivery failed", "from", tx.from, "to", len(tx.recipients), "error", err)
		return doubt(err)
	}
	return say(250, gosmtp.EnhancedCode{2, 0, 0}, "Accepted as "+id)
}

// ending looks for ends of message that the engine passes over. Only CR LF . CR
// LF ends a message; the engine misses it after a bare CR, and where the line
// before was a lone dot followed by CR CR LF, of which it swallows two bytes.
type ending struct {
	tail []byte // the last bytes seen, at most 6
}

var (
	hiddenEnd = []byte("\r\r\n.\r\n")
	dotLine   = []byte("\r\n.\r\n")
)

// saw takes the next bytes and reports whether a hidden end is among them.
func (e *ending) saw(p []byte) bool {
	joint := append(e.tail, p[:min(len(p), len(hiddenEnd)-1)]...)
	found := bytes.Contains(joint, hiddenEnd) || bytes.Contains(p, hiddenEnd)
	if len(p) >= len(hiddenEnd) {
		joint = p
	}
	e.tail = append(e.tail[:0:0], joint[max(0, len(joint)-len(hiddenEnd)+1):]...)
	return found
}

// looksFinished reports whether the last line seen is a lone dot. A dot-stuffed
// line looks the same, so it is no proof.
func (e *ending) looksFinished() bool { return bytes.HasSuffix(e.tail, dotLine) }
