package smtp

import (
	"context"
	"errors"
	"io"

	gosmtp "github.com/emersion/go-smtp"
	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/policy"
)

// Data takes the message. It returns only when all of it has been read, or when
// the connection will not be read again: what is left of a message must never
// be taken for commands.
func (s *session) Data(io.Reader) error {
	tx := s.tx
	if tx == nil || len(tx.recipients) == 0 {
		s.wire.kill()
		return say(421, gosmtp.EnhancedCode{4, 3, 0}, "No recipients, closing the connection")
	}
	s.wire.messageBegins()
	spool := s.spool()
	defer spool.Close()
	buf := s.server.buffers.Get().(*[]byte)
	err := s.wire.receive(spool, *buf)
	s.server.buffers.Put(buf)
	if err != nil {
		return s.broken(err)
	}
	if err := spool.Finish(); err != nil {
		if s.mode == MX && rookery.Is(err, rookery.KindInvalid) {
			// Who sends bare line endings may see another end of the message
			// than is there: nothing behind it is looked at.
			s.wire.kill()
		}
		return s.refuseMessage(tx, err)
	}
	return s.accept(tx, spool)
}

// spool is where a message goes. Other servers must send clean lines, lest both
// sides disagree where a message ends. Users' programs are forgiven.
func (s *session) spool() *delivery.Spool {
	lines := delivery.Refuse
	if s.mode != MX {
		lines = delivery.Normalise
	}
	return s.server.o.Deliver.Spool(lines, 0)
}

// broken answers a message that cannot be read to its end.
func (s *session) broken(err error) *gosmtp.SMTPError {
	s.wire.kill()
	s.logger.Info("smtp: message broke off", "client", s.wire.ip, "error", err)
	return say(451, gosmtp.EnhancedCode{4, 4, 2}, "The message did not arrive in time or in full; closing the connection")
}

func (s *session) refuseMessage(tx *transaction, err error) *gosmtp.SMTPError {
	a := answer(err)
	s.logger.Info("smtp: message refused", "from", tx.from, "client", s.wire.ip, "code", a.Code, "error", err)
	return a
}

// accept has a message that has arrived judged and delivered.
func (s *session) accept(tx *transaction, spool *delivery.Spool) *gosmtp.SMTPError {
	id := newID()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), s.server.o.Limits.Commit)
	defer cancel()
	err := s.server.o.Deliver.Deliver(ctx, delivery.Request{
		From: tx.from, Recipients: tx.recipients, Trace: s.trace(tx, id, spool.Fixes()), Spool: spool, Judge: s.judge, Session: s.id, ID: id,
	})
	var refusal *policy.Refusal
	switch {
	case err == nil:
		return say(250, gosmtp.EnhancedCode{2, 0, 0}, "Accepted as "+id)
	case errors.As(err, &refusal):
		s.logger.Info("smtp: message refused", "from", tx.from, "client", s.wire.ip, "error", err)
		return s.verdict(refusal.Verdict)
	}
	s.logger.Warn("smtp: delivery failed", "from", tx.from, "to", len(tx.recipients), "error", err)
	return doubt(err)
}
