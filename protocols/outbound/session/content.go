package session

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
)

const (
	// chunk is the size of one BDAT, in octets.
	chunk = 64 << 10
	// window is how many BDAT may wait for their replies.
	window = 4
)

// content sends the message and decides the rest.
func (d *delivery) content(ctx context.Context, p plan, m Message, may func(context.Context) error) {
	if may == nil {
		may = func(context.Context) error { return nil }
	}
	text, err := m.Open()
	if err != nil {
		d.abort(fmt.Errorf("open the message: %w", err))
		return
	}
	defer text.Close()
	d.s.wire.within(d.s.o.Timeouts.Block)
	send := d.data
	if p.chunks {
		send = d.chunks
	}
	if !send(ctx, p, &source{r: text, eight: m.Form.EightBit}, may) {
		return
	}
	// The peer may have the message from here on.
	if err := d.s.wire.flush(); err != nil {
		d.broken(AtEnd, err)
		return
	}
	d.ended(p)
}

// ended reads the reply that decides.
func (d *delivery) ended(p plan) {
	d.s.wire.until = d.s.wire.until.Add(d.s.o.Timeouts.End)
	d.s.wire.within(d.s.o.Timeouts.End)
	r, err := d.s.wire.reply()
	if err != nil {
		d.lose(AtEnd, err)
		return
	}
	if r.Code/100 == 2 {
		d.s.began = false
		d.s.sent++
	}
	d.answered(AtEnd, r)
}

// abort ends the connection before the peer can have the message.
func (d *delivery) abort(err error) {
	d.s.wire.close()
	d.lose(AtData, err)
}

// source reads a message and refuses to go on where it is not of a form that can
// be sent, whatever was said of it before.
type source struct {
	r     io.Reader
	eight bool // 8-bit content was agreed on
	scan  scan
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.scan.next(p[:n])
	if err == io.EOF {
		s.scan.end()
	}
	if bad := s.scan.form.err(); bad != nil {
		return 0, bad
	}
	if s.scan.form.EightBit && !s.eight {
		return 0, ErrEightBit
	}
	return n, err
}

// room is how much of the message is in memory at once: one octet more than all
// of it, so that its end is seen at once, and at most most.
func (p plan) room(most int) int { return int(min(max(p.size, 0), int64(most)-1)) + 1 }

// data writes the text behind DATA, up to and with the final dot, of which the
// last octets are left in the buffer (RFC 5321 4.5.2).
func (d *delivery) data(ctx context.Context, p plan, text *source, may func(context.Context) error) bool {
	w := d.s.wire
	buf := make([]byte, p.room(block))
	begin := true // of a line
	for {
		n, err := io.ReadFull(text, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			d.abort(fmt.Errorf("read the message: %w", err))
			return false
		}
		w.within(d.s.o.Timeouts.Block)
		for rest := buf[:n]; len(rest) > 0; {
			line := rest
			if i := bytes.IndexByte(rest, '\n'); i >= 0 {
				line = rest[:i+1]
			}
			if begin && line[0] == '.' {
				w.write(dot)
			}
			w.write(line)
			begin = line[len(line)-1] == '\n'
			rest = rest[len(line):]
		}
		if w.dead != nil {
			d.broken(AtData, w.dead)
			return false
		}
		if err != nil {
			break
		}
	}
	if err := may(ctx); err != nil {
		d.abort(err)
		return false
	}
	w.within(d.s.o.Timeouts.Block)
	if !begin {
		w.write(lineEnd)
	}
	if err := w.write(final); err != nil {
		d.broken(AtEnd, err)
		return false
	}
	return true
}

var dot, lineEnd, final = []byte("."), []byte("\r\n"), []byte(".\r\n")

// chunks writes the text in BDAT, of which the last one's last octets are left in
// the buffer (RFC 3030 2).
func (d *delivery) chunks(ctx context.Context, p plan, text *source, may func(context.Context) error) bool {
	w := d.s.wire
	// The reader's size may be more than is asked of it, never less.
	size := p.room(chunk)
	in := bufio.NewReaderSize(text, size)
	most := 1
	if p.pipeline {
		most = window
	}
	for waiting := 0; ; {
		b, err := in.Peek(size)
		if err != nil && err != io.EOF {
			d.abort(fmt.Errorf("read the message: %w", err))
			return false
		}
		last := err == io.EOF
		if last {
			return d.lastChunk(ctx, b, text.scan.open(), waiting, may)
		}
		if w.line(fmt.Sprintf("BDAT %d", len(b))) != nil || !d.blocks(b) || w.flush() != nil {
			d.broken(AtData, w.dead)
			return false
		}
		in.Discard(len(b))
		if waiting++; waiting == most {
			if !d.taken(1) {
				d.drain(waiting - 1)
				return false
			}
			waiting--
		}
	}
}

// lastChunk writes the chunk that ends the message, once the peer has taken all
// others: it cannot accept what it lacks a part of.
func (d *delivery) lastChunk(ctx context.Context, b []byte, open bool, waiting int, may func(context.Context) error) bool {
	if !d.taken(waiting) {
		return false
	}
	size := len(b)
	if open {
		size += len(lineEnd)
	}
	if err := may(ctx); err != nil {
		d.abort(err)
		return false
	}
	w := d.s.wire
	w.within(d.s.o.Timeouts.Block)
	w.line(fmt.Sprintf("BDAT %d LAST", size))
	d.blocks(b)
	if open {
		w.write(lineEnd)
	}
	if w.dead != nil {
		d.broken(AtEnd, w.dead)
		return false
	}
	return true
}

// blocks writes a chunk, with time for each block of it.
func (d *delivery) blocks(p []byte) bool {
	for len(p) > 0 {
		n := min(block, len(p))
		d.s.wire.within(d.s.o.Timeouts.Block)
		if d.s.wire.write(p[:n]) != nil {
			return false
		}
		p = p[n:]
	}
	return true
}

// taken reads the replies to chunks that were not the last; false where one says
// no, which decides.
func (d *delivery) taken(n int) bool {
	for i := range n {
		d.s.wire.within(d.s.o.Timeouts.End)
		r, err := d.s.wire.reply()
		if err != nil {
			d.lose(AtData, err)
			return false
		}
		if r.Code/100 != 2 {
			d.answered(AtData, r)
			d.drain(n - i - 1)
			return false
		}
	}
	return true
}

// drain reads the replies that follow one that decided.
func (d *delivery) drain(n int) {
	for range n {
		d.s.wire.within(d.s.o.Timeouts.End)
		if _, err := d.s.wire.reply(); err != nil {
			return
		}
	}
}
