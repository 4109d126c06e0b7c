package smtp

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Read gives the engine one command line, or the end of the message that the
// session has read.
func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.line) == 0 {
		line, err := w.command()
		if err != nil {
			return 0, err
		}
		w.line = line
	}
	n := copy(p, w.line)
	w.line = w.line[n:]
	return n, nil
}

// command gives the next line for the engine, none when there is nothing for it
// to do. What the engine gets wrong is seen to here: STARTTLS, and chunks.
func (w *wire) command() ([]byte, error) {
	if w.dead {
		return nil, io.EOF
	}
	if w.ended {
		w.ended = false
		return []byte(".\r\n"), nil
	}
	line, err := w.nextLine()
	challenged := w.response
	w.response = false
	switch {
	case err != nil:
		return nil, err
	case line == nil && challenged:
		return w.instead(fmt.Sprintf("500 5.5.6 The response is longer than %d bytes", w.limits.LineLength), "*\r\n")
	case line == nil:
		return w.instead(fmt.Sprintf("500 5.5.2 The command line is longer than %d bytes", w.limits.LineLength), "\r\n")
	case challenged:
		return line, nil
	}
	verb, arg, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
	switch verb = strings.ToUpper(verb); {
	case verb == "EHLO" || verb == "HELO":
		w.extended = verb == "EHLO"
	case verb == "BDAT":
		return w.bdat(arg)
	case verb == "DATA" && w.session != nil && w.session.chunks != nil:
		w.out = append(w.out, "503 5.5.1 Not between the chunks of a message\r\n"...)
		return nil, nil
	case verb == "STARTTLS" && strings.TrimSpace(arg) == "" && w.tls == nil && w.listener.server.o.TLS != nil:
		return nil, w.startTLS()
	case strings.HasPrefix(verb, "STARTTLS") && verb != "STARTTLS" || verb == "STARTTLS" && strings.TrimSpace(arg) != "":
		return newLine, nil // which is a syntax error, as it should be
	}
	return line, nil
}

// instead answers for the engine, which is given a line whose reply is not
// sent.
func (w *wire) instead(reply, line string) ([]byte, error) {
	w.out = append(append(w.out, reply...), newLine...)
	w.mute = true
	return []byte(line), nil
}

// maxPassed is how much of a command line that is too long is read and thrown
// away, in lines of the greatest length, before the connection closes.
const maxPassed = 16

// nextLine reads a whole command line: the engine takes half a line before an
// error for a whole one. It gives nil for a line that was too long.
func (w *wire) nextLine() ([]byte, error) {
	passed := 0
	for from := 0; ; {
		if i := bytes.IndexByte(w.in[from:], '\n'); i >= 0 {
			line := w.in[:from+i+1]
			if w.in = w.in[len(line):]; passed+len(line) > w.limits.LineLength {
				return nil, nil
			}
			return line, nil
		}
		if from = len(w.in); from > w.limits.LineLength {
			passed, from, w.in = passed+from, 0, nil
		}
		if passed > maxPassed*w.limits.LineLength {
			w.out = append(w.out, "500 5.5.2 The line is too long, closing the connection\r\n"...)
			w.dead, w.in = true, nil
			return nil, io.EOF
		}
		w.in = append(make([]byte, 0, from+max(from, 512)), w.in...)
		n, err := w.fill(w.in[from:cap(w.in)])
		if w.dead {
			return nil, io.EOF
		}
		if w.in = w.in[:from+n]; err != nil {
			return nil, err
		}
	}
}

// startTLS answers STARTTLS and moves the connection to a wire under TLS. What
// came in clear behind the command is thrown away (RFC 3207 4.2).
func (w *wire) startTLS() error {
	w.out = append(w.out, "220 2.0.0 Ready to start TLS\r\n"...)
	if err := w.flush(w.limits.Stall); err != nil {
		return err
	}
	next := w.overTLS()
	next.greeted, next.mute = true, true
	w.dead, w.in = true, nil
	w.mu.Unlock()
	moved := w.listener.server.conns.Replace(w, next) && w.listener.secure.offer(next)
	w.mu.Lock()
	if w.moved = moved; !moved {
		w.outErr = io.EOF
	}
	return io.EOF
}

// receive moves the message that follows DATA to a writer, whose errors it
// leaves to be found later: the message is read to its end all the same.
func (w *wire) receive(to io.Writer, buf []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var d dots
	p := w.in
	w.in = nil
	for {
		for len(p) > 0 && !d.ended() {
			var text []byte
			if text, p = d.next(p); len(text) > 0 {
				to.Write(text)
			}
		}
		if d.ended() {
			w.in, w.ended = bytes.Clone(p), true
			return nil
		}
		n, err := w.fill(buf)
		if err != nil {
			return err
		}
		p = buf[:n]
	}
}
