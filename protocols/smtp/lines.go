package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// errLine is in the chain of errors that concern one line only: the connection
// goes on with the next.
var errLine = errors.New("not a command line")

var (
	errLong = fmt.Errorf("%w: it is too long", errLine)
	errBare = fmt.Errorf("%w: it ends with LF alone", errLine)
)

// maxPassed is how much of a line that is too long is read and thrown away, in
// lines of the greatest length, before the connection closes.
const maxPassed = 16

// readLine gives the next line without its end. errLong and errBare, which is
// a line that RFC 5321 2.3.8 does not know, pass it over; io.EOF and the
// network's errors end the connection.
func (c *conn) readLine() (string, error) {
	passed, most := 0, c.server.o.Limits.LineLength
	for from := 0; ; {
		if i := bytes.IndexByte(c.in[from:], '\n'); i >= 0 {
			line := c.in[:from+i+1]
			c.in = c.in[len(line):]
			switch text, ok := bytes.CutSuffix(line, newLine); {
			case passed+len(line) > most:
				return "", errLong
			case !ok:
				return "", errBare
			default:
				return string(text), nil
			}
		}
		if from = len(c.in); from > most {
			passed, from, c.in = passed+from, 0, nil
		}
		if passed > maxPassed*most {
			c.send(say(500, enhanced{5, 5, 2}, "The line is too long, closing the connection"))
			c.hangUp()
			return "", io.EOF
		}
		c.in = append(make([]byte, 0, from+max(from, 512)), c.in...)
		n, err := c.fill(c.in[from:cap(c.in)])
		if err != nil {
			return "", err
		}
		c.in = c.in[:from+n]
	}
}

// receive moves the message that follows DATA to a writer, whose errors it
// leaves to be found later: the message is read to its end all the same.
func (c *conn) receive(to io.Writer, buf []byte) error {
	var d dots
	p := c.in
	c.in = nil
	for {
		for len(p) > 0 && !d.ended() {
			var text []byte
			if text, p = d.next(p); len(text) > 0 {
				to.Write(text)
			}
		}
		if d.ended() {
			c.in = bytes.Clone(p)
			return nil
		}
		n, err := c.fill(buf)
		if err != nil {
			return err
		}
		p = buf[:n]
	}
}

// receiveChunk moves size octets to a writer, whose errors it leaves to be
// found later.
func (c *conn) receiveChunk(to io.Writer, size int64, buf []byte) error {
	for size > 0 {
		p := c.in[:min(int64(len(c.in)), size)]
		if c.in = c.in[len(p):]; len(p) == 0 {
			n, err := c.fill(buf[:min(int64(len(buf)), size)])
			if err != nil {
				return err
			}
			p = buf[:n]
		}
		to.Write(p)
		size -= int64(len(p))
	}
	return nil
}
