package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// client is a small line client for IMAP and POP3 over TLS. It parses only what
// keeps it in step, so that it costs the machine little.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	tag  int
	// Bytes of literals and multi-line replies read.
	bytes int64
}

func dialTLS(addr string) (*client, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 30 * time.Second}, "tcp", addr, conf)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, r: bufio.NewReaderSize(conn, 32<<10), w: bufio.NewWriterSize(conn, 32<<10)}, nil
}

func (c *client) close() { c.conn.Close() }

// signIn opens an IMAP session, at the user's node.
func signIn(s *side, user int) (*client, error) { return signInAt(s, user, user) }

// signInAt opens an IMAP session at the i-th node.
func signInAt(s *side, user, i int) (*client, error) {
	c, err := dialTLS(s.at(i).imaps)
	if err != nil {
		return nil, err
	}
	if _, err := c.line(); err != nil {
		c.close()
		return nil, err
	}
	if _, err := c.do("LOGIN %s %s", s.login(user), s.password); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *client) line() (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
	b, err := c.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		rest, err := c.r.ReadBytes('\n')
		return string(b) + string(rest), err
	}
	return strings.TrimRight(string(b), "\r\n"), err
}

func (c *client) send(format string, args ...any) (string, error) {
	c.tag++
	tag := "t" + strconv.Itoa(c.tag)
	fmt.Fprintf(c.w, tag+" "+format+"\r\n", args...)
	return tag, c.w.Flush()
}

// do sends a command and reads to its tagged reply, which must be OK. It
// gives the untagged lines.
func (c *client) do(format string, args ...any) ([]string, error) {
	tag, err := c.send(format, args...)
	if err != nil {
		return nil, err
	}
	return c.finish(tag)
}

func (c *client) finish(tag string) ([]string, error) {
	var lines []string
	for {
		l, err := c.line()
		if err != nil {
			return nil, err
		}
		if rest, ok := strings.CutPrefix(l, tag+" "); ok {
			if !strings.HasPrefix(rest, "OK") {
				return nil, fmt.Errorf("%s", l)
			}
			return lines, nil
		}
		if n := literal(l); n >= 0 {
			m, err := io.CopyN(io.Discard, c.r, n)
			c.bytes += m
			if err != nil {
				return nil, err
			}
			continue
		}
		if len(lines) < 64 {
			lines = append(lines, l)
		}
	}
}

// quiet is do for replies of many lines: they are counted, not kept.
func (c *client) quiet(format string, args ...any) (lines int, err error) {
	tag, err := c.send(format, args...)
	if err != nil {
		return 0, err
	}
	want := []byte(tag + " ")
	for {
		c.conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
		b, err := c.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return lines, err
		}
		if bytes.HasPrefix(b, want) {
			if !bytes.HasPrefix(b[len(want):], []byte("OK")) {
				return lines, fmt.Errorf("%s", b)
			}
			return lines, nil
		}
		lines++
		if n := literal(string(bytes.TrimRight(b, "\r\n"))); n >= 0 {
			if _, err := c.r.Discard(int(n)); err != nil {
				return lines, err
			}
			c.bytes += n
		}
	}
}

func literal(l string) int64 {
	if !strings.HasSuffix(l, "}") {
		return -1
	}
	i := strings.LastIndexByte(l, '{')
	if i < 0 {
		return -1
	}
	n, err := strconv.ParseInt(l[i+1:len(l)-1], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// append_ sends an APPEND with a synchronising literal.
func (c *client) append_(mailbox string, message []byte) error {
	tag, err := c.send("APPEND %s {%d}", mailbox, len(message))
	if err != nil {
		return err
	}
	for {
		l, err := c.line()
		if err != nil {
			return err
		}
		if strings.HasPrefix(l, "+") {
			break
		}
		if strings.HasPrefix(l, tag) {
			return fmt.Errorf("%s", l)
		}
	}
	c.w.Write(message)
	c.w.WriteString("\r\n")
	if err := c.w.Flush(); err != nil {
		return err
	}
	_, err = c.finish(tag)
	return err
}

// messages is the count that STATUS gives for INBOX.
func (c *client) messages() (int, error) {
	lines, err := c.do("STATUS INBOX (MESSAGES)")
	if err != nil {
		return 0, err
	}
	for _, l := range lines {
		if i := strings.Index(l, "MESSAGES "); i >= 0 {
			return strconv.Atoi(strings.TrimRight(l[i+9:], ")"))
		}
	}
	return 0, fmt.Errorf("no STATUS in %q", lines)
}

// empty removes all messages of a user's INBOX.
func empty(s *side, user int) error {
	c, err := signIn(s, user)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.do("SELECT INBOX"); err != nil {
		return err
	}
	if n, err := c.messages(); err != nil || n == 0 {
		return err
	}
	if _, err := c.quiet(`STORE 1:* +FLAGS.SILENT (\Deleted)`); err != nil {
		return err
	}
	_, err = c.quiet("EXPUNGE")
	return err
}

// sender is who messages are from, but for mail to other systems.
const sender = "sender@example.net"

// message is a plain text message of about the size, each with its own text.
func message(size, serial int, from string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Sender <%s>\r\nTo: someone@example.test\r\nSubject: message %d of the load\r\n"+
		"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d.%d@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n",
		from, serial, serial, time.Now().UnixNano())
	x := uint32(serial)*2654435761 + 1
	for b.Len() < size-2 {
		var word [8]byte
		for i := range word[:7] {
			x = x*1664525 + 1013904223
			word[i] = 'a' + byte(x>>24)%26
		}
		word[7] = ' '
		b.Write(word[:])
		if b.Len()%72 < 8 {
			b.WriteString("\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}
