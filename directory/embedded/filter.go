package embedded

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// The limits of one filter: what a client needs is far below, and an attack
// stays cheap.
const (
	maxFilterDepth = 50
	maxFilterItems = 1000
)

// truth is the three-valued logic of filters (RFC 4511 4.5.1.7): undefined
// never makes a match, and "not undefined" is still undefined.
type truth int8

const (
	no truth = iota
	undefined
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// filter is one node of a search filter, RFC 4511 4.5.1.7.
type filter struct {
	op     filterOp
	kids   []*filter
	attr   string
	value  string
	pieces pieces
	rule   string // of an extensible match
	dnAttr bool
}

type filterOp uint8

const ( // the CHOICE tags of RFC 4511
	opAnd filterOp = iota
	opOr
	opNot
	opEqual
	opSubstrings
	opGreaterEqual
	opLessEqual
	opPresent
	opApprox
	opExtensible
)

var errFilter = errors.New("the filter is malformed")

func parseFilter(p *ber.Packet) (*filter, error) {
	items := 0
	return readFilter(p, 0, &items)
}

func readFilter(p *ber.Packet, depth int, items *int) (*filter, error) {
	if *items++; *items > maxFilterItems || depth > maxFilterDepth {
		return nil, fmt.Errorf("the filter has more than %d items or %d levels", maxFilterItems, maxFilterDepth)
	}
	if p == nil || p.ClassType != ber.ClassContext || p.Tag > ber.Tag(opExtensible) {
		return nil, errFilter
	}
	f := &filter{op: filterOp(p.Tag)}
	switch f.op {
	case opAnd, opOr, opNot:
		for _, c := range p.Children {
			kid, err := readFilter(c, depth+1, items)
			if err != nil {
				return nil, err
			}
			f.kids = append(f.kids, kid)
		}
		if f.op == opNot && len(f.kids) != 1 {
			return nil, errFilter
		}
		return f, nil
	case opPresent:
		f.attr = text(p)
		return f, nil
	case opSubstrings:
		return f, f.readSubstrings(p)
	case opExtensible:
		return f, f.readExtensible(p)
	}
	if len(p.Children) != 2 {
		return nil, errFilter
	}
	f.attr, f.value = text(p.Children[0]), text(p.Children[1])
	return f, nil
}

func (f *filter) readSubstrings(p *ber.Packet) error {
	if len(p.Children) != 2 || len(p.Children[1].Children) == 0 {
		return errFilter
	}
	f.attr = text(p.Children[0])
	parts := p.Children[1].Children
	for i, c := range parts {
		switch {
		case c.Tag == 0 && i == 0:
			f.pieces.initial, f.pieces.hasInitial = text(c), true
		case c.Tag == 1:
			f.pieces.any = append(f.pieces.any, text(c))
		case c.Tag == 2 && i == len(parts)-1:
			f.pieces.final, f.pieces.hasFinal = text(c), true
		default:
			return errFilter
		}
	}
	return nil
}

func (f *filter) readExtensible(p *ber.Packet) error {
	for _, c := range p.Children {
		switch c.Tag {
		case 1:
			f.rule = text(c)
		case 2:
			f.attr = text(c)
		case 3:
			f.value = text(c)
		case 4:
			b := c.Data.Bytes()
			f.dnAttr = len(b) == 1 && b[0] != 0
		default:
			return errFilter
		}
	}
	if f.rule == "" && f.attr == "" {
		return errFilter
	}
	return nil
}

// text is a packet's content as a string, whatever its tag.
func text(p *ber.Packet) string {
	if p == nil || p.Data == nil {
		return ""
	}
	return p.Data.String()
}

// match evaluates a filter on an entry. hidden attributes, which the asker
// may not read, are undefined, so that nobody can guess them by filter.
func (f *filter) match(e *entry, hidden func(key string) bool) truth {
	switch f.op {
	case opAnd:
		result := yes
		for _, k := range f.kids {
			result = min(result, k.match(e, hidden))
			if result == no {
				break
			}
		}
		return result
	case opOr:
		result := no
		for _, k := range f.kids {
			result = max(result, k.match(e, hidden))
			if result == yes {
				break
			}
		}
		return result
	case opNot:
		return yes - f.kids[0].match(e, hidden)
	case opExtensible:
		return f.matchExtensible(e, hidden)
	}
	key := strings.ToLower(f.attr)
	if key == "" || hidden(key) {
		return undefined
	}
	if key == "entrydn" {
		return f.matchValues(key, []string{e.dn.text})
	}
	return f.matchValues(key, e.get(key))
}

func (f *filter) matchValues(key string, values []string) truth {
	r := ruleOf(key)
	switch f.op {
	case opPresent:
		return truthOf(len(values) > 0)
	case opEqual:
		want := r.normal(f.value)
		return truthOf(slices.ContainsFunc(values, func(v string) bool { return r.normal(v) == want }))
	case opSubstrings:
		return truthOf(slices.ContainsFunc(values, func(v string) bool { return f.pieces.match(r, v) }))
	case opGreaterEqual:
		return truthOf(slices.ContainsFunc(values, func(v string) bool { return r.compare(v, f.value) >= 0 }))
	case opLessEqual:
		return truthOf(slices.ContainsFunc(values, func(v string) bool { return r.compare(v, f.value) <= 0 }))
	case opApprox:
		want := sounds(f.value)
		return truthOf(slices.ContainsFunc(values, func(v string) bool { return sounds(v) == want }))
	}
	return undefined
}

// The bit rules of Active Directory: userAccountControl tests use them.
const (
	ruleBitAnd = "1.2.840.113556.1.4.803"
	ruleBitOr  = "1.2.840.113556.1.4.804"
)

func (f *filter) matchExtensible(e *entry, hidden func(string) bool) truth {
	key := strings.ToLower(f.attr)
	if hidden(key) {
		return undefined
	}
	equal, ok := f.equality(key)
	if !ok {
		return undefined
	}
	for k, a := range e.attrs {
		if (key == "" || k == key) && !hidden(k) && slices.ContainsFunc(a.values, equal) {
			return yes
		}
	}
	if f.dnAttr {
		for _, rdn := range e.dn.rdns {
			for part := range strings.SplitSeq(rdn, "+") {
				name, value, _ := strings.Cut(part, "=")
				if (key == "" || name == key) && equal(value) {
					return yes
				}
			}
		}
	}
	return no
}

// equality is the value test of an extensible match; false when the rule is
// not known.
func (f *filter) equality(key string) (func(string) bool, bool) {
	if f.rule == ruleBitAnd || f.rule == ruleBitOr {
		mask, err := strconv.ParseInt(f.value, 10, 64)
		if err != nil {
			return nil, false
		}
		return func(v string) bool {
			n, err := strconv.ParseInt(v, 10, 64)
			if f.rule == ruleBitOr {
				return err == nil && n&mask != 0
			}
			return err == nil && n&mask == mask
		}, true
	}
	r := ruleOf(key)
	if f.rule != "" {
		var ok bool
		if r, ok = ruleNamed(f.rule); !ok {
			return nil, false
		}
	}
	want := r.normal(f.value)
	return func(v string) bool { return r.normal(v) == want }, true
}
