package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/policy"
)

// data is DATA. It returns only when all of the message has been read, or when
// the connection will not be read again: what is left of a message must never
// be taken for commands.
func (s *session) data(string) Reply {
	tx := s.tx
	switch {
	case s.chunks != nil:
		return say(503, enhanced{5, 5, 1}, "Not between the chunks of a message")
	case tx == nil || tx.count() == 0:
		return say(503, enhanced{5, 5, 1}, "Give sender and recipients first")
	}
	s.conn.send(Reply{Code: 354, Text: "Send the message, end with a line of one dot"})
	s.conn.messageBegins()
	spool := s.spool()
	defer spool.Close()
	buf := s.server.buffers.Get().(*[]byte)
	err := s.conn.receive(spool, *buf)
	s.server.buffers.Put(buf)
	if err != nil {
		return s.over(s.broken(err))
	}
	if err := spool.Finish(); err != nil {
		if s.mode == MX && rookery.Is(err, rookery.KindInvalid) {
			// Who sends bare line endings may see another end of the message
			// than is there: nothing behind it is looked at.
			s.conn.hangUp()
		}
		return s.over(s.refuseMessage(err))
	}
	return s.over(s.accept(tx, spool))
}

// over ends a transaction with the reply to its message.
func (s *session) over(r Reply) Reply {
	s.server.observe("DATA", r, s.conn.began)
	if r.Code == 250 {
		s.conn.bad = 0
	} else if s.tx != nil {
		s.refused("DATA", s.tx.from, s.tx.to(), r)
	}
	s.reset()
	return r
}

// bdat is BDAT (RFC 3030 2).
func (c *conn) bdat(arg string) Reply {
	size, last, ok := chunkSize(arg)
	if !ok || c.session == nil {
		// How much follows is not known, or nobody is there to take it.
		c.hangUp()
		return say(501, enhanced{5, 5, 4}, "BDAT comes after EHLO, with a size in octets and LAST or nothing; closing the connection")
	}
	return c.session.chunk(size, last)
}

// chunkSize reads the arguments of BDAT: a size below 4 GiB.
func chunkSize(arg string) (size int64, last, ok bool) {
	f := strings.Fields(arg)
	if last = len(f) == 2 && strings.EqualFold(f[1], "LAST"); len(f) != 1 && !last {
		return 0, false, false
	}
	n, err := strconv.ParseUint(f[0], 10, 32)
	return int64(n), last, err == nil
}

// chunk takes size octets of a message, which is over with the last chunk and
// with the first that is refused.
func (s *session) chunk(size int64, last bool) Reply {
	tx := s.tx
	buf := s.server.buffers.Get().(*[]byte)
	defer s.server.buffers.Put(buf)
	if tx == nil || tx.count() == 0 {
		s.conn.messageBegins()
		defer s.conn.messageEnds()
		if err := s.conn.receiveChunk(io.Discard, size, *buf); err != nil {
			return s.over(s.broken(err))
		}
		return say(503, enhanced{5, 5, 1}, "Give sender and recipients first")
	}
	if s.chunks == nil {
		s.conn.messageBegins()
		s.chunks = s.spool()
	}
	if err := s.conn.receiveChunk(s.chunks, size, *buf); err != nil {
		return s.over(s.broken(err))
	}
	if _, err := s.chunks.Write(nil); err == nil && !last {
		return say(250, enhanced{2, 0, 0}, fmt.Sprintf("Took %d octets", size))
	}
	if err := s.chunks.Finish(); err != nil {
		return s.over(s.refuseMessage(err))
	}
	return s.over(s.accept(tx, s.chunks))
}

// spool is where a message goes. Other servers must send clean lines, lest both
// sides disagree where a message ends. Users' programs are forgiven.
func (s *session) spool() *spool.Spool {
	lines := spool.Refuse
	if s.mode != MX {
		lines = spool.Normalise
	}
	return s.server.o.Deliver.Spool(lines, 0)
}

// broken answers a message that cannot be read to its end.
func (s *session) broken(err error) Reply {
	s.conn.hangUp()
	s.cause = err
	return say(451, enhanced{4, 4, 2}, "The message did not arrive in time or in full; closing the connection")
}

func (s *session) refuseMessage(err error) Reply {
	s.cause = err
	return answer(err)
}

// accept has a message that has arrived judged and delivered.
func (s *session) accept(tx *transaction, spool *spool.Spool) Reply {
	id := newID()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), s.server.o.Limits.Commit)
	defer cancel()
	err := s.server.o.Deliver.Deliver(ctx, delivery.Request{
		From: tx.from, Recipients: tx.recipients, Remote: tx.remote, Sender: tx.sender, Submitted: s.user != nil || s.grant != nil,
		Return: tx.params.returns, EnvelopeID: tx.params.envelopeID, UTF8: tx.params.utf8, Scheduled: tx.scheduled,
		Trace: s.trace(tx, id, spool.Fixes()), Spool: spool, Judge: s.judge, Session: s.id, ID: id,
		Source: s.source(tx),
	})
	var refusal *policy.Refusal
	switch {
	case err == nil:
		return say(250, enhanced{2, 0, 0}, "Accepted as "+id)
	case errors.As(err, &refusal):
		s.cause = err
		if r := s.verdict(refusal.Verdict); r != nil {
			return *r
		}
	}
	s.cause = err
	return doubt(err)
}
