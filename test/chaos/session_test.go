package chaos

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// session is an IMAP connection that shows every response as it came.
type session struct {
	conn *tls.Conn
	r    *bufio.Reader
	tag  int
	box  int
}

// refused is a command answered NO or BAD.
type refused struct{ line string }

func (r refused) Error() string { return r.line }

// temporary reports whether the server may refuse so without being wrong: an
// outcome that it cannot tell, or no room.
func (r refused) temporary() bool {
	for _, code := range []string{"NO [UNAVAILABLE]", "NO [INUSE]", "NO [LIMIT]", "NO [OVERQUOTA]"} {
		if strings.HasPrefix(r.line, code) {
			return true
		}
	}
	return false
}

const answerWithin = 25 * time.Second

func dialIMAP(ctx context.Context, host, login string) (*session, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 3 * time.Second}, Config: anyone}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, "993"))
	if err != nil {
		return nil, err
	}
	s := &session{conn: c.(*tls.Conn), r: bufio.NewReaderSize(c, 1<<16), box: -1}
	c.SetDeadline(time.Now().Add(answerWithin))
	if _, err := s.line(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if _, _, err := s.do("LOGIN %s \"%s\"", login+"@example.test", password); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

func (s *session) close() { s.conn.Close() }

// line reads one response, with its literals in it.
func (s *session) line() (string, error) {
	var b strings.Builder
	for {
		l, err := s.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		l = strings.TrimSuffix(l, "\r\n")
		b.WriteString(l)
		i := strings.LastIndexByte(l, '{')
		if i < 0 || !strings.HasSuffix(l, "}") {
			return b.String(), nil
		}
		n, err := strconv.Atoi(strings.TrimSuffix(l[i+1:], "}"))
		if err != nil {
			return b.String(), nil
		}
		if _, err := io.CopyN(&b, s.r, int64(n)); err != nil {
			return "", err
		}
	}
}

// do sends a command and gives its untagged responses and what its OK says.
// Any other error than refused leaves the outcome open.
func (s *session) do(format string, args ...any) (lines []string, ok string, err error) {
	s.tag++
	tag := fmt.Sprintf("t%d ", s.tag)
	s.conn.SetDeadline(time.Now().Add(answerWithin))
	if _, err := io.WriteString(s.conn, tag+fmt.Sprintf(format, args...)+"\r\n"); err != nil {
		return nil, "", err
	}
	for {
		l, err := s.line()
		if err != nil {
			return lines, "", err
		}
		switch rest, ours := strings.CutPrefix(l, tag); {
		case !ours && strings.HasPrefix(l, "* BYE"):
			return lines, "", errors.New(l)
		case !ours:
			lines = append(lines, l)
		case strings.HasPrefix(rest, "OK"):
			return lines, rest, nil
		default:
			return lines, "", refused{rest}
		}
	}
}

var boxNames = [2]string{"INBOX", "Box"}

var (
	existsRE   = regexp.MustCompile(`^\* (\d+) EXISTS`)
	validityRE = regexp.MustCompile(`\[UIDVALIDITY (\d+)\]`)
	nextRE     = regexp.MustCompile(`\[UIDNEXT (\d+)\]`)
	highRE     = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
	fetchRE    = regexp.MustCompile(`^\* (\d+) FETCH \(`)
	uidRE      = regexp.MustCompile(`UID (\d+)`)
	modseqRE   = regexp.MustCompile(`MODSEQ \((\d+)\)`)
	flagsRE    = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	subjectRE  = regexp.MustCompile(`Subject: (\S+)`)
	appendRE   = regexp.MustCompile(`\[APPENDUID (\d+) (\d+)\]`)
	copyRE     = regexp.MustCompile(`\[COPYUID (\d+) (\d+) (\d+)\]`)
	nextUIDRE  = regexp.MustCompile(`UIDNEXT (\d+)`)
	statusRE   = regexp.MustCompile(`(MESSAGES|UIDNEXT|HIGHESTMODSEQ|UIDVALIDITY) (\d+)`)
)

func find(re *regexp.Regexp, s string, group int) (uint64, bool) {
	m := re.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(m[group], 10, 64)
	return n, err == nil
}

// look selects a mailbox and lists it. The listing is what the mailbox was at
// the SELECT; done is when that had been answered.
func (s *session) look(box int) (v view, done time.Time, err error) {
	lines, _, err := s.do("SELECT %s (CONDSTORE)", boxNames[box])
	done = time.Now()
	if err != nil {
		s.box = -1
		return v, done, err
	}
	s.box = box
	for _, l := range lines {
		if n, ok := find(existsRE, l, 1); ok {
			v.count = int(n)
		}
		if n, ok := find(validityRE, l, 1); ok {
			v.validity = n
		}
		if n, ok := find(nextRE, l, 1); ok {
			v.next = uint32(n)
		}
		if n, ok := find(highRE, l, 1); ok {
			v.high = n
		}
	}
	if v.count == 0 {
		return v, done, nil
	}
	lines, _, err = s.do("FETCH 1:%d (UID FLAGS MODSEQ BODY.PEEK[HEADER.FIELDS (SUBJECT)])", v.count)
	if err != nil {
		return v, done, err
	}
	for _, l := range lines {
		seq, ok := find(fetchRE, l, 1)
		subject := subjectRE.FindStringSubmatch(l)
		if !ok || subject == nil {
			continue // a change of others that is told on the way
		}
		r := row{seq: int(seq), id: subject[1]}
		uid, _ := find(uidRE, l, 1)
		r.uid = uint32(uid)
		r.modseq, _ = find(modseqRE, l, 1)
		if m := flagsRE.FindStringSubmatch(l); m != nil {
			r.flags = flagsOf(m[1])
		}
		v.rows = append(v.rows, r)
	}
	return v, done, nil
}

// The flags that the load uses, as bits.
var flagNames = [...]string{`\Deleted`, `\Flagged`, `\Seen`, "$one", "$two"}

const deletedFlag = 1

func flagsOf(list string) (bits uint8) {
	for f := range strings.FieldsSeq(list) {
		for i, name := range flagNames {
			if strings.EqualFold(f, name) {
				bits |= 1 << i
			}
		}
	}
	return bits
}

func flagList(bits uint8) string {
	var list []string
	for i, name := range flagNames {
		if bits&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return strings.Join(list, " ")
}

func messageText(id string, size int) string {
	return "From: load@example.net\r\nSubject: " + id + "\r\nMessage-ID: <" + id + "@example.net>\r\n\r\n" +
		strings.Repeat(id+" is all work and no play, and dull.\r\n", size/44+1)
}

// append files a message. sent says whether the server may have it.
func (s *session) append(box int, id string, size int) (uid uint32, sent bool, err error) {
	text := messageText(id, size)
	s.tag++
	s.conn.SetDeadline(time.Now().Add(answerWithin))
	if _, err := fmt.Fprintf(s.conn, "t%d APPEND %s {%d}\r\n", s.tag, boxNames[box], len(text)); err != nil {
		return 0, false, err
	}
	for {
		l, err := s.line()
		if err != nil {
			return 0, sent, err
		}
		rest, ours := strings.CutPrefix(l, fmt.Sprintf("t%d ", s.tag))
		switch {
		case strings.HasPrefix(l, "+") && !sent:
			sent = true
			if _, err := io.WriteString(s.conn, text+"\r\n"); err != nil {
				return 0, true, err
			}
		case ours && strings.HasPrefix(rest, "OK"):
			n, ok := find(appendRE, rest, 2)
			if !ok {
				return 0, true, refused{"no APPENDUID: " + rest}
			}
			return uint32(n), true, nil
		case ours:
			return 0, sent, refused{rest}
		}
	}
}
