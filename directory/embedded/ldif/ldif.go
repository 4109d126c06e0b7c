// Package ldif reads and writes content records of LDIF (RFC 2849): the file
// behind the embedded directory. It knows no schema and no tree.
package ldif

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// LineWidth is where Write folds, in bytes.
const LineWidth = 76

// maxLine bounds one logical line, unfolded, in bytes.
const maxLine = 8 << 20

// Record is one content record of LDIF (RFC 2849).
type Record struct {
	DN    string
	Attrs [][2]string
}

// Read reads content records; change records and URLs as values are
// refused. The line number of the first fault is in the error.
func Read(r io.Reader, each func(Record) error) error {
	lines := &logicalLines{r: bufio.NewReader(r)}
	var rec *Record
	first := true
	flush := func() error {
		if rec == nil {
			return nil
		}
		done := *rec
		rec = nil
		return each(done)
	}
	for {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return flush()
		}
		if err == nil {
			err = readLine(line, &rec, &first, flush)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", at, err)
		}
	}
}

func readLine(line string, rec **Record, first *bool, flush func() error) error {
	if line == "" {
		return flush()
	}
	if line[0] == '#' {
		return nil
	}
	name, value, err := pairOf(line)
	if err != nil {
		return err
	}
	if *rec == nil {
		if *first && strings.EqualFold(name, "version") {
			*first = false
			if value != "1" {
				return fmt.Errorf("LDIF version %.20q is not 1", value)
			}
			return nil
		}
		*first = false
		if !strings.EqualFold(name, "dn") {
			return fmt.Errorf("a record begins with %.60q instead of dn", name)
		}
		*rec = &Record{DN: value}
		return nil
	}
	if strings.EqualFold(name, "changetype") {
		return errors.New("change records are not for a directory's own file")
	}
	(*rec).Attrs = append((*rec).Attrs, [2]string{name, value})
	return nil
}

// pairOf takes "name: value" or "name:: base64" apart.
func pairOf(line string) (name, value string, err error) {
	name, rest, ok := strings.Cut(line, ":")
	if !ok || name == "" {
		return "", "", fmt.Errorf("%.60q has no attribute name", line)
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == ';' || c == '_') {
			return "", "", fmt.Errorf("%.60q is not an attribute name", name)
		}
	}
	switch {
	case strings.HasPrefix(rest, ":"):
		b, err := base64.StdEncoding.DecodeString(strings.Trim(rest[1:], " "))
		if err != nil {
			return "", "", fmt.Errorf("value of %.60s: %w", name, err)
		}
		return name, string(b), nil
	case strings.HasPrefix(rest, "<"):
		return "", "", fmt.Errorf("value of %.60s is a URL, which is not followed", name)
	}
	return name, strings.TrimLeft(rest, " "), nil
}

// logicalLines gives logical lines: folded ones joined, comments whole.
type logicalLines struct {
	r       *bufio.Reader
	line    int
	peeked  string
	hasPeek bool
}

func (l *logicalLines) next() (string, int, error) {
	s, err := l.physical()
	if err != nil {
		return "", l.line, err
	}
	at := l.line
	if strings.HasPrefix(s, " ") {
		return "", at, errors.New("a folded line continues nothing")
	}
	if s == "" {
		return "", at, nil
	}
	var b strings.Builder
	b.WriteString(s)
	for {
		more, err := l.physical()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", at, err
		}
		if !strings.HasPrefix(more, " ") {
			l.peeked, l.hasPeek = more, true
			break
		}
		if b.Len()+len(more) > maxLine {
			return "", at, fmt.Errorf("longer than %d bytes", maxLine)
		}
		b.WriteString(more[1:])
	}
	return b.String(), at, nil
}

func (l *logicalLines) physical() (string, error) {
	if l.hasPeek {
		l.hasPeek = false
		return l.peeked, nil
	}
	var b []byte
	for {
		part, err := l.r.ReadSlice('\n')
		b = append(b, part...)
		if len(b) > maxLine {
			return "", fmt.Errorf("longer than %d bytes", maxLine)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !(errors.Is(err, io.EOF) && len(b) > 0) {
			return "", err
		}
		break
	}
	l.line++
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

// Write writes one record and the blank line behind it.
func Write(w *bufio.Writer, rec Record) {
	writePair(w, "dn", rec.DN)
	for _, a := range rec.Attrs {
		writePair(w, a[0], a[1])
	}
	w.WriteByte('\n')
}

func writePair(w *bufio.Writer, name, value string) {
	line := name + ": " + value
	if !safe(value) {
		line = name + ":: " + base64.StdEncoding.EncodeToString([]byte(value))
	}
	for width := LineWidth; len(line) > width; width = LineWidth - 1 {
		w.WriteString(line[:width])
		w.WriteString("\n ")
		line = line[width:]
	}
	w.WriteString(line)
	w.WriteByte('\n')
}

// safe is SAFE-STRING of RFC 2849, without a blank at the end.
func safe(s string) bool {
	if s == "" {
		return true
	}
	if strings.ContainsRune(" :<", rune(s[0])) || s[len(s)-1] == ' ' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == 0 || c == '\n' || c == '\r' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
