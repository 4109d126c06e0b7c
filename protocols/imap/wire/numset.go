package wire

import (
	"slices"
	"strconv"
)

// Star stands for "*" in a Range: the largest number in use.
const Star = 0

// Range is one element of a set as it was written: From and To in any order,
// either may be Star.
type Range struct{ From, To uint32 }

// NumSet is a sequence-set or uid-set (RFC 9051 section 9) as the client
// wrote it. Its length is bounded by the line it came on.
type NumSet struct {
	Ranges []Range
	// Saved is "$": the result kept by SEARCH RETURN (SAVE).
	Saved bool
}

// NumSet takes a sequence-set.
func (l *Lexer) NumSet() NumSet {
	var s NumSet
	if l.Accept('$') {
		s.Saved = true
		return s
	}
	for l.OK() {
		r := Range{From: l.setNumber()}
		r.To = r.From
		if l.Accept(':') {
			r.To = l.setNumber()
		}
		// Lists written out in full (1,2,3) join while they are read.
		if n := len(s.Ranges); n > 0 && r.From == r.To && r.From != Star &&
			s.Ranges[n-1].To != Star && s.Ranges[n-1].From != Star &&
			s.Ranges[n-1].To == r.From-1 && s.Ranges[n-1].From <= s.Ranges[n-1].To {
			s.Ranges[n-1].To = r.From
		} else {
			s.Ranges = append(s.Ranges, r)
		}
		if !l.Accept(',') {
			break
		}
	}
	return s
}

func (l *Lexer) setNumber() uint32 {
	if l.Accept('*') {
		return Star
	}
	n := l.Number()
	if n == 0 && l.OK() {
		l.Syntax("0 is not allowed in a set of message numbers")
	}
	return n
}

// Resolve gives the set's ranges with "*" taken as max, each From <= To,
// sorted and without overlap. Where nothing is in use (max 0), "*" names
// nothing.
func (s NumSet) Resolve(max uint32) Set {
	out := make(Set, 0, len(s.Ranges))
	for _, r := range s.Ranges {
		if r.From == Star {
			r.From = max
		}
		if r.To == Star {
			r.To = max
		}
		if r.From > r.To {
			r.From, r.To = r.To, r.From
		}
		if r.To == 0 {
			continue
		}
		out = append(out, Range{From: r.From | b2u(r.From == 0), To: r.To})
	}
	return out.normal()
}

func b2u(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// Set is a set of numbers: ranges sorted, apart from each other, without Star.
type Set []Range

func (s Set) normal() Set {
	slices.SortFunc(s, func(a, b Range) int {
		switch {
		case a.From < b.From:
			return -1
		case a.From > b.From:
			return 1
		}
		return 0
	})
	n := 0
	for _, r := range s {
		if n > 0 && (r.From <= s[n-1].To || r.From-1 == s[n-1].To) {
			s[n-1].To = max(s[n-1].To, r.To)
			continue
		}
		s[n] = r
		n++
	}
	return s[:n]
}

// Add appends a number larger than all in the set.
func (s *Set) Add(n uint32) {
	if k := len(*s); k > 0 && (*s)[k-1].To == n-1 {
		(*s)[k-1].To = n
		return
	}
	*s = append(*s, Range{n, n})
}

// AddRange appends a range above all in the set.
func (s *Set) AddRange(from, to uint32) {
	if k := len(*s); k > 0 && (*s)[k-1].To == from-1 {
		(*s)[k-1].To = to
		return
	}
	*s = append(*s, Range{from, to})
}

// Max is the largest number in the set; 0 if it is empty.
func (s Set) Max() uint32 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].To
}

// AppendText appends the set as the wire has it.
func (s Set) AppendText(b []byte) []byte {
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.From), 10)
		if r.To != r.From {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(r.To), 10)
		}
	}
	return b
}

func (s Set) String() string { return string(s.AppendText(nil)) }
