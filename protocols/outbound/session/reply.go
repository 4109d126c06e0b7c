package session

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxReplyLine  = 4 << 10  // octets of one line; RFC 5321 4.5.3.1.5 has 512
	maxReplyLines = 128      // of one reply
	maxReplyBytes = 64 << 10 // of one reply
	maxReplyText  = 1 << 10  // octets of text that are kept
)

// Reply is what a peer answered (RFC 5321 4.2).
type Reply struct {
	Code int
	// Enhanced is the code of RFC 3463, zero where there was none or one of
	// another class than Code's.
	Enhanced [3]int
	// Text are the lines behind the codes, joined with blanks: printable UTF-8 of
	// at most 1 KiB.
	Text string
	// lines are the lines behind Code, as they came; EHLO reads them.
	lines []string
}

func (r Reply) String() string {
	if r.Enhanced[0] == 0 {
		return fmt.Sprintf("%d %s", r.Code, r.Text)
	}
	return fmt.Sprintf("%d %d.%d.%d %s", r.Code, r.Enhanced[0], r.Enhanced[1], r.Enhanced[2], r.Text)
}

// Temporary says that the peer may answer otherwise later (4yz).
func (r Reply) Temporary() bool { return r.Code/100 == 4 }

var errReply = errors.New("the peer's reply is malformed")

// readReply reads one reply, of one line or more. A line may end with LF alone.
func readReply(br *bufio.Reader) (Reply, error) {
	var r Reply
	left := maxReplyBytes
	for {
		line, err := readLine(br)
		if err != nil {
			return Reply{}, err
		}
		if left -= len(line); left < 0 || len(r.lines) == maxReplyLines {
			return Reply{}, fmt.Errorf("%w: it is longer than %d lines or %d octets", errReply, maxReplyLines, maxReplyBytes)
		}
		code, more, text, ok := cutReply(line)
		if !ok || r.Code != 0 && code != r.Code {
			return Reply{}, fmt.Errorf("%w: %s", errReply, quoted(line))
		}
		r.Code = code
		r.lines = append(r.lines, text)
		if !more {
			r.read()
			return r, nil
		}
	}
}

// readLine reads up to LF. An endless line ends with an error after
// maxReplyLine.
func readLine(br *bufio.Reader) (string, error) {
	b, err := br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("%w: a line is longer than %d octets", errReply, maxReplyLine)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

// cutReply takes a line apart: three digits, then a blank, a hyphen where more
// lines follow, or nothing.
func cutReply(line string) (code int, more bool, text string, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, false, "", false
	}
	for i := range 3 {
		if line[i] < '0' || line[i] > '9' {
			return 0, false, "", false
		}
	}
	code, _ = strconv.Atoi(line[:3])
	if len(line) == 3 {
		return code, false, "", true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", false
	}
	return code, line[3] == '-', line[4:], true
}

// read takes the enhanced code and the text out of the lines. Each line may
// begin with the code (RFC 2034 4).
func (r *Reply) read() {
	var b strings.Builder
	for i, line := range r.lines {
		code, rest, ok := cutEnhanced(line)
		if ok && code[0] == r.Code/100 && (i == 0 || code == r.Enhanced) {
			r.Enhanced, line = code, rest
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(line)
		if b.Len() > maxReplyText {
			break
		}
	}
	r.Text = printable(b.String(), maxReplyText)
}

// cutEnhanced takes class.subject.detail from the beginning of a text (RFC 3463 2).
func cutEnhanced(s string) (code [3]int, rest string, ok bool) {
	word, rest, _ := strings.Cut(s, " ")
	parts := strings.Split(word, ".")
	if len(word) > 9 || len(parts) != 3 {
		return code, s, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || len(p) > 3 {
			return [3]int{}, s, false
		}
		code[i] = int(n)
	}
	return code, rest, true
}

// printable is a text without control characters and broken UTF-8, of at most
// most octets.
func printable(s string, most int) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == utf8.RuneError || c == 0x2028 || c == 0x2029 {
			return '?'
		}
		return c
	}, s)
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
