package spool

import (
	"bytes"
	"fmt"
	"strings"

	"rookery"
)

// Lines is what a Spool does about a CR or LF that stands alone, and about NUL
// (RFC 5321 2.3.8 forbids the first two, RFC 5322 2.3 all three).
type Lines uint8

const (
	// Refuse answers KindInvalid. It is for SMTP: a server that repairs what
	// another reads differently helps to smuggle messages.
	Refuse Lines = iota
	// Normalise makes each of them a CRLF, a run of CR before LF one CRLF,
	// and each NUL the byte 0x80, which no client stumbles over.
	Normalise
)

// Fixes counts what Normalise has changed.
type Fixes struct {
	CR, LF, NUL int
}

// String is a note for a trace header; empty when nothing was changed.
func (f Fixes) String() string {
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{f.CR, "bare CR"}, {f.LF, "bare LF"}, {f.NUL, "NUL"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if parts == nil {
		return ""
	}
	return "repaired " + strings.Join(parts, ", ")
}

// lineState remembers between writes.
type lineState struct {
	cr    bool // the last byte seen was a CR whose meaning is open
	line  int  // complete lines seen
	fixes Fixes
}

func (l *lineState) refuse(what string) error {
	return rookery.E("check line endings", rookery.KindInvalid,
		fmt.Errorf("line %d of the message has a %s; lines must end in CR LF and hold neither alone nor NUL (RFC 5321 2.3.8)",
			l.line+1, what))
}

// check lets only well-formed lines pass.
func (l *lineState) check(p []byte) error {
	if l.cr {
		if p[0] != '\n' {
			return l.refuse("bare CR")
		}
		l.cr = false
		l.line++
		p = p[1:]
	}
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		line := p
		if end >= 0 {
			line = p[:end]
		}
		cr := bytes.IndexByte(line, '\r')
		switch {
		case bytes.IndexByte(line, 0) >= 0:
			return l.refuse("NUL byte")
		case cr >= 0 && cr != len(line)-1:
			return l.refuse("bare CR")
		case end < 0:
			l.cr = cr >= 0
			return nil
		case cr < 0:
			return l.refuse("bare LF")
		}
		l.line++
		p = p[end+1:]
	}
	return nil
}

// normalise hands canonical lines to store, in pieces as large as possible.
func (l *lineState) normalise(p []byte, store func([]byte) error) error {
	var out []byte // what has been repaired and not stored yet
	if l.cr {
		for len(p) > 0 && p[0] == '\r' {
			l.fixes.CR++
			p = p[1:]
		}
		if len(p) == 0 {
			return nil
		}
		l.cr = false
		out = append(out, '\r', '\n')
		if p[0] == '\n' {
			p = p[1:]
		} else {
			l.fixes.CR++
		}
	}
	good := 0 // p[:good] is fine as it is
	for good < len(p) {
		end := bytes.IndexByte(p[good:], '\n')
		line := p[good:]
		if end >= 0 {
			line = p[good : good+end]
		}
		cr := bytes.IndexByte(line, '\r')
		nul := bytes.IndexByte(line, 0)
		if nul < 0 && (end >= 0 && cr >= 0 && cr == len(line)-1 || end < 0 && cr < 0) {
			good += min(len(line)+1, len(p)-good)
			continue
		}
		out = append(out, p[:good]...)
		out = l.repair(out, line, end >= 0)
		p = p[good+min(len(line)+1, len(p)-good):]
		good = 0
		if len(out) >= 32<<10 {
			if err := store(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	if len(out) > 0 {
		if err := store(out); err != nil {
			return err
		}
	}
	if good > 0 {
		return store(p[:good])
	}
	return nil
}

// repair appends one line with its faults mended. ended says that an LF
// follows the line.
func (l *lineState) repair(out, line []byte, ended bool) []byte {
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case 0:
			l.fixes.NUL++
			out = append(out, 0x80)
		case '\r':
			run := 1
			for i+run < len(line) && line[i+run] == '\r' {
				run++
			}
			i += run - 1
			if i+1 < len(line) {
				l.fixes.CR += run
				out = append(out, '\r', '\n')
				continue
			}
			l.fixes.CR += run - 1
			if !ended {
				l.cr = true
				return out
			}
			return append(out, '\r', '\n')
		default:
			out = append(out, c)
		}
	}
	if ended {
		l.fixes.LF++
		out = append(out, '\r', '\n')
	}
	return out
}

// finish deals with a CR at the very end.
func (l *lineState) finish(policy Lines, store func([]byte) error) error {
	if !l.cr {
		return nil
	}
	l.cr = false
	if policy == Refuse {
		return l.refuse("bare CR")
	}
	l.fixes.CR++
	return store([]byte("\r\n"))
}
