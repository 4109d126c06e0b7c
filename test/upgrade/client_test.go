package upgrade

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"rookery/test/harness"
)

// client is a line client for IMAP and POP3 that shows responses as they came;
// a library would show only what it knows of.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
}

func dial(addr string, conf *tls.Config) (*client, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, conf)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReader(conn)}
	if _, err := c.line(); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// signIn opens an IMAP session that shows mailbox names as UTF-8.
func signIn(addr string, conf *tls.Config, u harness.User) (*client, error) {
	c, err := dial(addr, conf)
	if err != nil {
		return nil, err
	}
	for _, cmd := range []string{"LOGIN " + u.Login + " " + u.Password, "ENABLE UTF8=ACCEPT QRESYNC"} {
		if _, err := c.do("%s", cmd); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *client) close() { c.conn.Close() }

func (c *client) line() (string, error) {
	c.conn.SetDeadline(time.Now().Add(time.Minute))
	s, err := c.r.ReadString('\n')
	return strings.TrimRight(s, "\r\n"), err
}

var literal = regexp.MustCompile(`~?\{(\d+)\}$`)

// response is one line with "sha256:" and the sum in the place of literals.
func (c *client) response() (string, error) {
	s, err := c.line()
	for err == nil {
		m := literal.FindStringSubmatch(s)
		if m == nil {
			break
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		h := sha256.New()
		if _, err := io.CopyN(h, c.r, n); err != nil {
			return "", err
		}
		var rest string
		rest, err = c.line()
		s = strings.TrimSuffix(s, m[0]) + "sha256:" + hex.EncodeToString(h.Sum(nil)) + rest
	}
	return s, err
}

// do gives the untagged responses of a command, which must succeed, without
// their star, and last the text of its tagged one.
func (c *client) do(format string, args ...any) ([]string, error) {
	cmd := fmt.Sprintf(format, args...)
	if err := c.begin(cmd); err != nil {
		return nil, err
	}
	return c.finish(cmd)
}

func (c *client) begin(cmd string) error {
	c.tag++
	_, err := fmt.Fprintf(c.conn, "a%d %s\r\n", c.tag, cmd)
	return err
}

func (c *client) finish(cmd string) (lines []string, err error) {
	for {
		s, err := c.response()
		if err != nil {
			return nil, fmt.Errorf("%.40s: %w", cmd, err)
		}
		if rest, ok := strings.CutPrefix(s, fmt.Sprintf("a%d ", c.tag)); ok {
			if !strings.HasPrefix(rest, "OK") {
				return nil, fmt.Errorf("%.40s: %s", cmd, rest)
			}
			return append(lines, rest), nil
		}
		lines = append(lines, strings.TrimPrefix(s, "* "))
	}
}

// append_ files a message; how holds its flags and date.
func (c *client) append_(mailbox, how string, text []byte) error {
	cmd := fmt.Sprintf("APPEND %q %s {%d}", mailbox, how, len(text))
	if err := c.begin(cmd); err != nil {
		return err
	}
	if s, err := c.line(); err != nil || !strings.HasPrefix(s, "+") {
		return fmt.Errorf("%s: %s %v", cmd, s, err)
	}
	if _, err := c.conn.Write(append(text, "\r\n"...)); err != nil {
		return err
	}
	_, err := c.finish(cmd)
	return err
}

// uidls are the lines of POP3's UIDL.
func uidls(addr string, conf *tls.Config, u harness.User) (list []string, err error) {
	c, err := dial(addr, conf)
	if err != nil {
		return nil, err
	}
	defer c.close()
	for _, cmd := range []string{"USER " + u.Login, "PASS " + u.Password, "UIDL"} {
		if _, err := fmt.Fprintf(c.conn, "%s\r\n", cmd); err != nil {
			return nil, err
		}
		if s, err := c.line(); err != nil || !strings.HasPrefix(s, "+OK") {
			return nil, fmt.Errorf("%.4s: %s %v", cmd, s, err)
		}
	}
	for {
		s, err := c.line()
		if err != nil {
			return nil, err
		}
		if s == "." {
			break
		}
		list = append(list, s)
	}
	// QUIT lets go of the mailbox before the next looks.
	if _, err := fmt.Fprint(c.conn, "QUIT\r\n"); err != nil {
		return nil, err
	}
	_, err = c.line()
	return list, err
}
