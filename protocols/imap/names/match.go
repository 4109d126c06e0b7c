package names

import "strings"

// Pattern is a LIST pattern made ready: "*" matches anything, "%" anything
// without the separator.
type Pattern struct {
	elems []elem
	// everything: the pattern is "*" alone.
	everything bool
}

type elem struct {
	c    byte
	wild byte // '*' or '%' or 0
}

// Compile reads reference and pattern as one (RFC 9051 6.3.9: the reference
// is a prefix here). INBOX, alone or as first level, is taken in any case.
func Compile(reference, pattern string) Pattern {
	s := reference + pattern
	if len(s) >= 5 && strings.EqualFold(s[:5], "INBOX") && (len(s) == 5 || s[5] == '/') {
		s = "INBOX" + s[5:]
	}
	p := Pattern{elems: make([]elem, 0, len(s))}
	for i := 0; i < len(s); i++ {
		e := elem{c: s[i]}
		if s[i] == '*' || s[i] == '%' {
			e.wild = s[i]
			// Wildcards side by side say no more than the strongest.
			if n := len(p.elems); n > 0 && p.elems[n-1].wild != 0 {
				if e.wild == '*' {
					p.elems[n-1].wild = '*'
				}
				continue
			}
		}
		p.elems = append(p.elems, e)
	}
	p.everything = len(p.elems) == 1 && p.elems[0].wild == '*'
	return p
}

// Match reports whether the name matches. It takes at most len(name) times
// len(pattern) steps, whatever the wildcards.
func (p Pattern) Match(name string) bool {
	if p.everything {
		return true
	}
	fold := name == "INBOX" || strings.HasPrefix(name, "INBOX/")
	// now[i]: the elements before i have matched what was read so far.
	now, next := make([]bool, len(p.elems)+1), make([]bool, len(p.elems)+1)
	now[0] = true
	p.skipWild(now)
	for i := 0; i < len(name); i++ {
		clear(next)
		alive := false
		for k, e := range p.elems {
			if !now[k] {
				continue
			}
			switch {
			case e.wild == '*', e.wild == '%' && name[i] != '/':
				next[k], alive = true, true
			case e.wild == 0 && (e.c == name[i] || fold && i < 5 && upper(e.c) == name[i]):
				next[k+1], alive = true, true
			}
		}
		if !alive {
			return false
		}
		p.skipWild(next)
		now, next = next, now
	}
	return now[len(p.elems)]
}

// skipWild lets each wildcard match nothing.
func (p Pattern) skipWild(at []bool) {
	for k, e := range p.elems {
		if at[k] && e.wild != 0 {
			at[k+1] = true
		}
	}
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 32
	}
	return c
}
