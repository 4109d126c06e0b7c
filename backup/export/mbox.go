package export

import (
	"bufio"
	"errors"
	"io"
	"os"
	"time"
)

// mbox writes a file for each folder. One is open at a time: messages come folder by
// folder.
type mbox struct {
	target *target
	names  *names
	folder string // the open one
	file   io.WriteCloser
	buf    *bufio.Writer
}

func newMbox(t *target) (form, error) {
	return &mbox{target: t, names: newNames(safePath), buf: bufio.NewWriterSize(nil, 64<<10)}, nil
}

func (x *mbox) add(m *Message, r io.Reader) (string, error) {
	path, known := x.names.path(m.Mailbox)
	path += ".mbox"
	if x.file == nil || x.folder != m.Mailbox {
		if err := x.switchTo(m.Mailbox, path, known); err != nil {
			return "", err
		}
	}
	// The envelope's sender is not known any more.
	if _, err := x.buf.WriteString("From MAILER-DAEMON " + m.Date.UTC().Format(time.ANSIC) + "\n"); err != nil {
		return "", err
	}
	q := quoter{w: x.buf, bol: true}
	if _, err := io.Copy(&q, r); err != nil {
		return "", err
	}
	if err := q.end(); err != nil {
		return "", err
	}
	return path, x.buf.Flush()
}

func (x *mbox) switchTo(folder, path string, known bool) (err error) {
	if err := x.close(); err != nil {
		return err
	}
	if known {
		x.file, err = x.target.open(x.target.within(path), os.O_APPEND)
	} else {
		x.file, err = x.target.create(path)
	}
	if err != nil {
		x.file = nil
		return err
	}
	x.folder = folder
	x.buf.Reset(x.file)
	return nil
}

func (x *mbox) close() error {
	if x.file == nil {
		return nil
	}
	err := errors.Join(x.buf.Flush(), x.file.Close())
	x.file = nil
	return err
}

// quoter writes a message as mboxrd has it: lines end with LF, and one that is "From "
// behind any number of > gets one > more.
type quoter struct {
	w   *bufio.Writer
	bol bool // at the beginning of a line, or behind the > that it begins with
	cr  bool // a CR is held back
	got int  // how much of fromLine was held back
	any bool // the line has anything
}

const fromLine = "From "

func (q *quoter) Write(p []byte) (int, error) {
	for i, c := range p {
		if err := q.put(c); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func (q *quoter) put(c byte) error {
	if q.cr {
		q.cr = false
		if c != '\n' {
			if err := q.plain('\r'); err != nil {
				return err
			}
		}
	}
	switch {
	case c == '\r':
		q.cr = true
		return nil
	case q.bol && c == fromLine[q.got]:
		if q.got++; q.got < len(fromLine) {
			return nil
		}
		q.got, q.bol, q.any = 0, false, true
		_, err := q.w.WriteString(">" + fromLine)
		return err
	case q.bol && c == '>' && q.got == 0:
		q.any = true
		return q.w.WriteByte(c)
	}
	return q.plain(c)
}

// plain writes a byte that ends what the line may have begun with.
func (q *quoter) plain(c byte) error {
	if err := q.release(); err != nil {
		return err
	}
	q.bol, q.any = c == '\n', c != '\n'
	return q.w.WriteByte(c)
}

func (q *quoter) release() error {
	if q.got == 0 {
		return nil
	}
	_, err := q.w.WriteString(fromLine[:q.got])
	q.got, q.any = 0, true
	return err
}

// end writes what is held back, ends the last line, and parts it from the next message.
func (q *quoter) end() error {
	if q.cr {
		if err := q.plain('\r'); err != nil {
			return err
		}
	}
	if err := q.release(); err != nil {
		return err
	}
	if q.any {
		if err := q.w.WriteByte('\n'); err != nil {
			return err
		}
	}
	return q.w.WriteByte('\n')
}
