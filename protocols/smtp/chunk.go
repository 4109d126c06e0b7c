package smtp

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// bdat takes a chunk, answers, and gives what the engine then has to do: the
// end of a message is the end of the engine's transaction.
func (w *wire) bdat(arg string) ([]byte, error) {
	size, last, ok := chunkSize(arg)
	if !ok || w.session == nil {
		// How much follows is not known, or nobody is there to take it.
		w.out = append(w.out, "501 5.5.4 BDAT comes after EHLO, with a size in octets and LAST or nothing; closing the connection\r\n"...)
		w.dead, w.in = true, nil
		return nil, io.EOF
	}
	w.mu.Unlock()
	reply, over := w.session.chunk(size, last)
	w.mu.Lock()
	w.deadline = time.Now().Add(w.limits.Command)
	line := fmt.Sprintf("%d %d.%d.%d %s", reply.Code, reply.EnhancedCode[0], reply.EnhancedCode[1], reply.EnhancedCode[2], reply.Message)
	if over && !w.dead {
		return w.instead(line, "RSET\r\n")
	}
	w.out = append(append(w.out, line...), newLine...)
	if w.dead {
		return nil, io.EOF
	}
	return nil, nil
}

// chunkSize reads the arguments of BDAT (RFC 3030 2): a size below 4 GiB.
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
func (s *session) chunk(size int64, last bool) (reply *gosmtp.SMTPError, over bool) {
	tx := s.tx
	if tx == nil || len(tx.recipients) == 0 {
		s.wire.messageBegins()
		defer s.wire.messageEnds()
		if err := s.receiveChunk(io.Discard, size); err != nil {
			return s.broken(err), true
		}
		return say(503, gosmtp.EnhancedCode{5, 5, 1}, "Give sender and recipients first"), false
	}
	if s.chunks == nil {
		s.wire.messageBegins()
		s.chunks = s.spool()
	}
	if err := s.receiveChunk(s.chunks, size); err != nil {
		return s.note("DATA", s.wire.began, s.broken(err)), true
	}
	if _, err := s.chunks.Write(nil); err == nil && !last {
		return say(250, gosmtp.EnhancedCode{2, 0, 0}, fmt.Sprintf("Took %d octets", size)), false
	}
	if err := s.chunks.Finish(); err != nil {
		return s.note("DATA", s.wire.began, s.refuseMessage(tx, err)), true
	}
	return s.note("DATA", s.wire.began, s.accept(tx, s.chunks)), true
}

// receiveChunk moves size octets to a writer, whose errors it leaves to be
// found later.
func (s *session) receiveChunk(to io.Writer, size int64) error {
	buf := s.server.buffers.Get().(*[]byte)
	defer s.server.buffers.Put(buf)
	w := s.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for size > 0 {
		p := w.in[:min(int64(len(w.in)), size)]
		if w.in = w.in[len(p):]; len(p) == 0 {
			n, err := w.fill((*buf)[:min(int64(len(*buf)), size)])
			if err != nil {
				return err
			}
			p = (*buf)[:n]
		}
		to.Write(p)
		size -= int64(len(p))
	}
	return nil
}

// dropChunks forgets what came of a message.
func (s *session) dropChunks() {
	if s.chunks != nil {
		s.chunks.Close()
		s.chunks = nil
	}
}
