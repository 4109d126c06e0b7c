package pop3

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"rookery"
	"rookery/storage/uidset"
)

// pick reads a message number. Numbers of marked messages are refused.
func (s *session) pick(arg string) (int, bool) {
	n, err := strconv.ParseUint(arg, 10, 32)
	if err != nil || n == 0 || n > uint64(len(s.listing.messages)) {
		return 0, false
	}
	_, gone := s.deleted[int(n-1)]
	return int(n - 1), !gone
}

func (s *session) stat(context.Context, string) bool {
	s.c.ok("%d %d", len(s.listing.messages)-len(s.deleted), s.bytes)
	return true
}

func (s *session) list(_ context.Context, arg string) bool {
	return s.scan(arg, func(b []byte, i int) []byte {
		return strconv.AppendUint(b, uint64(s.listing.messages[i].size), 10)
	})
}

func (s *session) uidl(_ context.Context, arg string) bool {
	return s.scan(arg, func(b []byte, i int) []byte {
		return append(b, s.listing.uidl(s.listing.messages[i].uid)...)
	})
}

// scan answers LIST and UIDL, for one message or all.
func (s *session) scan(arg string, value func([]byte, int) []byte) bool {
	var buf [128]byte
	line := func(b []byte, i int) []byte {
		b = append(strconv.AppendInt(b, int64(i+1), 10), ' ')
		return append(value(b, i), "\r\n"...)
	}
	if arg = strings.TrimSpace(arg); arg != "" {
		i, ok := s.pick(arg)
		if !ok {
			return s.bad("No such message")
		}
		s.c.w.Write(line(append(buf[:0], "+OK "...), i))
		return true
	}
	s.c.ok("%d messages", len(s.listing.messages)-len(s.deleted))
	for i := range s.listing.messages {
		if _, gone := s.deleted[i]; gone {
			continue
		}
		if _, err := s.c.w.Write(line(buf[:0], i)); err != nil {
			return false
		}
	}
	s.c.w.WriteString(".\r\n")
	return true
}

func (s *session) retr(ctx context.Context, arg string) bool {
	i, ok := s.pick(strings.TrimSpace(arg))
	if !ok {
		return s.bad("No such message")
	}
	m, err := s.drop.message(ctx, s.listing.messages[i].uid)
	if err != nil {
		return s.lost(err)
	}
	defer m.close()
	s.fetched++
	return s.send(ctx, m, 0, &stuffer{w: s.c.w}, func() { s.c.ok("%d octets", m.size()) })
}

// top sends the header and the first lines of the body.
func (s *session) top(ctx context.Context, arg string) bool {
	number, count, _ := strings.Cut(strings.TrimSpace(arg), " ")
	lines, err := strconv.ParseUint(strings.TrimSpace(count), 10, 31)
	i, ok := s.pick(number)
	switch {
	case err != nil:
		return s.bad("Give a message number and a number of lines")
	case !ok:
		return s.bad("No such message")
	}
	m, err := s.drop.message(ctx, s.listing.messages[i].uid)
	if err != nil {
		return s.lost(err)
	}
	defer m.close()
	header, whole, err := m.header(ctx)
	if err != nil {
		return s.lost(err)
	}
	out := &stuffer{w: s.c.w, limited: true, lines: int(lines)}
	if !whole {
		return s.send(ctx, m, 0, out, func() { s.c.ok("Top follows") })
	}
	begin := func() {
		s.c.ok("Top follows")
		out.Write(header)
	}
	if lines == 0 {
		begin()
		out.finish()
		return true
	}
	return s.send(ctx, m, int64(len(header)), out, begin)
}

// send writes a message from an offset on. The response begins with the first
// byte there is: an error before it still gets its -ERR; one after it can only
// end the connection, lest half a message pass for a whole one.
func (s *session) send(ctx context.Context, m opened, off int64, out *stuffer, begin func()) bool {
	w := &lateWriter{out: out, begin: begin}
	err := m.write(ctx, w, off)
	switch {
	case err == nil && !w.begun:
		begin()
	case err == nil || errors.Is(err, errEnough):
	case !w.begun:
		return s.lost(err)
	default:
		s.c.logger.Warn("pop3: message breaks off", "user", s.login, "error", err)
		return false
	}
	out.finish()
	return true
}

// lateWriter begins the response with its first byte.
type lateWriter struct {
	out   *stuffer
	begin func()
	begun bool
}

func (w *lateWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.begin()
	}
	return w.out.Write(p)
}

// lost answers a message that cannot be read; the session goes on.
func (s *session) lost(err error) bool {
	s.c.fail(err)
	return true
}

func (s *session) dele(_ context.Context, arg string) bool {
	i, ok := s.pick(strings.TrimSpace(arg))
	if !ok {
		return s.bad("No such message")
	}
	s.deleted[i] = struct{}{}
	s.bytes -= uint64(s.listing.messages[i].size)
	s.c.ok("Marked")
	return true
}

func (s *session) rset(context.Context, string) bool {
	for i := range s.deleted {
		s.bytes += uint64(s.listing.messages[i].size)
	}
	clear(s.deleted)
	s.c.ok("%d messages", len(s.listing.messages))
	return true
}

func (s *session) noop(context.Context, string) bool {
	s.c.ok("Still here")
	return true
}

// update removes what is marked.
func (s *session) update(ctx context.Context) error {
	uids := make([]rookery.UID, 0, len(s.deleted))
	for i := range s.deleted {
		uids = append(uids, s.listing.messages[i].uid)
	}
	if err := s.drop.remove(ctx, uidset.New(uids...)); err != nil {
		return err
	}
	s.c.logger.Info("pop3: messages removed", "user", s.login, "count", len(uids))
	return nil
}
