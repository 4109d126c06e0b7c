package message

import "strings"

// appendAddresses reads an unfolded address list (RFC 5322 3.4 with the
// obsolete forms) and appends it to list, at most *room addresses. It never
// fails: what is no address becomes one as well as it can.
func appendAddresses(list []Address, s string, room *int) []Address {
	p := addressParser{s: s, list: list, room: room}
	for p.next() {
	}
	if p.group {
		p.add(Address{Mark: GroupEnd})
	}
	return p.list
}

type addressParser struct {
	s     string
	i     int
	list  []Address
	room  *int
	group bool

	words   []string // of the phrase or local part being read
	glue    []bool   // whether words[i] follows its neighbour without a space
	comment string
}

func (p *addressParser) add(a Address) {
	if *p.room > 0 || a.Mark == GroupEnd {
		*p.room--
		p.list = append(p.list, a)
	}
}

// next reads up to the end of one address or mark; false at the end.
func (p *addressParser) next() bool {
	p.words, p.glue, p.comment = p.words[:0], p.glue[:0], ""
	for {
		spaced := p.space()
		if p.i >= len(p.s) {
			p.flush()
			return false
		}
		switch c := p.s[p.i]; c {
		case ',':
			p.i++
			p.flush()
			return *p.room > 0
		case ';':
			p.i++
			p.flush()
			if p.group {
				p.group = false
				p.add(Address{Mark: GroupEnd})
			}
			return *p.room > 0
		case ':':
			p.i++
			if !p.group && len(p.words) > 0 {
				p.group = *p.room > 0
				p.add(Address{Mark: GroupStart, Mailbox: p.phrase()})
				return *p.room > 0
			}
		case '<':
			p.angle()
			return *p.room > 0
		case '@':
			p.i++
			p.bare()
			return *p.room > 0
		default:
			p.word(spaced)
		}
	}
}

// space passes over white space and comments and remembers the last comment.
func (p *addressParser) space() bool {
	start := p.i
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t':
			p.i++
		case '(':
			n := commentEnd(p.s[p.i:])
			p.comment = commentText(p.s[p.i : p.i+n])
			p.i += n
		default:
			return p.i > start
		}
	}
	return p.i > start
}

// commentText is what stands inside a comment's brackets.
func commentText(s string) string {
	s = strings.TrimPrefix(s, "(")
	s = strings.TrimSuffix(s, ")")
	return strings.Trim(unquotePairs(s), " \t")
}

func unquotePairs(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// word reads a quoted string, an encoded word or an atom.
func (p *addressParser) word(spaced bool) {
	var w string
	rest := p.s[p.i:]
	if rest[0] == '"' {
		var after string
		w, after = quoted(rest)
		p.i = len(p.s) - len(after)
	} else {
		n := atomLen(rest)
		w = rest[:n]
		p.i += n
	}
	p.words = append(p.words, w)
	p.glue = append(p.glue, !spaced)
}

// atomLen is the length of the atom s begins with, at least 1. An encoded word
// counts as one, whatever stands in it.
func atomLen(s string) int {
	if strings.HasPrefix(s, "=?") {
		if n := encodedWordLen(s); n > 0 {
			return n
		}
	}
	n := strings.IndexAny(s[1:], " \t(<>@,;:\"")
	if n < 0 {
		return len(s)
	}
	return n + 1
}

// encodedWordLen is the length of the =?charset?e?text?= s begins with, else 0.
func encodedWordLen(s string) int {
	q1 := strings.IndexByte(s[2:min(len(s), maxToken)], '?')
	if q1 < 0 || len(s) < q1+5 || s[q1+4] != '?' {
		return 0
	}
	text := q1 + 5
	end := strings.Index(s[text:min(len(s), text+maxWord)], "?=")
	if end < 0 || strings.ContainsAny(s[text:text+end], " \t") {
		return 0
	}
	return text + end + 2
}

func (p *addressParser) phrase() string { return strings.Join(p.words, " ") }

// local joins the words as a local part: "a . b" is a.b.
func (p *addressParser) local() string { return strings.Join(p.words, "") }

// flush makes an address of words without a domain.
func (p *addressParser) flush() {
	switch len(p.words) {
	case 0:
	case 1:
		p.add(Address{Name: p.comment, Mailbox: p.words[0]})
	default:
		p.add(Address{Name: p.phrase()})
	}
}

// bare reads what follows the @ of an address without angle brackets.
func (p *addressParser) bare() {
	local := p.local()
	host := p.domain()
	// A phrase before an address without brackets: keep the address.
	if n := len(p.words); n > 1 && !p.joined() {
		local = p.words[n-1]
		p.add(Address{Name: strings.Join(p.words[:n-1], " "), Mailbox: local, Host: host})
	} else {
		p.space()
		p.add(Address{Name: p.comment, Mailbox: local, Host: host})
	}
	p.tail()
}

// joined reports whether the words are one local part: glued, or with dots at
// their seams.
func (p *addressParser) joined() bool {
	for i := 1; i < len(p.words); i++ {
		if !p.glue[i] && !strings.HasSuffix(p.words[i-1], ".") && !strings.HasPrefix(p.words[i], ".") {
			return false
		}
	}
	return true
}

// domain reads a domain or a domain literal.
func (p *addressParser) domain() string {
	var b strings.Builder
	for {
		p.space()
		if p.i >= len(p.s) {
			return b.String()
		}
		rest := p.s[p.i:]
		if rest[0] == '[' {
			n := strings.IndexByte(rest, ']') + 1
			if n == 0 {
				n = len(rest)
			}
			b.WriteString(rest[:n])
			p.i += n
			return b.String()
		}
		if strings.IndexByte("<>@,;:\"", rest[0]) >= 0 {
			return b.String()
		}
		if b.Len() > 0 && rest[0] != '.' && !strings.HasSuffix(b.String(), ".") {
			return b.String() // a second word
		}
		n := atomLen(rest)
		b.WriteString(rest[:n])
		p.i += n
	}
}

// tail passes over what is left before the next comma: garbage, or the angle
// brackets of "a@b <a@b>", which win.
func (p *addressParser) tail() {
	for {
		p.space()
		if p.i >= len(p.s) {
			return
		}
		switch p.s[p.i] {
		case ',', ';':
			if p.s[p.i] == ',' {
				p.i++
			}
			return
		case '<':
			if n := len(p.list); n > 0 && *p.room > 0 && p.list[n-1].Mark == NoMark {
				was := p.list[n-1]
				p.list = p.list[:n-1]
				*p.room++
				p.words = append(p.words[:0], was.Mailbox+"@"+was.Host)
			}
			p.angle()
			return
		case '"':
			_, after := quoted(p.s[p.i:])
			p.i = len(p.s) - len(after)
		default:
			p.i += atomLen(p.s[p.i:])
		}
	}
}

// angle reads <route:local@domain> and what follows up to the comma.
func (p *addressParser) angle() {
	a := Address{Name: p.phrase()}
	p.i++
	p.comment = ""
	a.Route = p.route()
	p.words, p.glue = p.words[:0], p.glue[:0]
	for p.i < len(p.s) {
		p.space()
		if p.i >= len(p.s) || p.s[p.i] == '>' {
			break
		}
		if p.s[p.i] == '@' {
			p.i++
			a.Host = p.domain()
			break
		}
		if strings.IndexByte("<,;:", p.s[p.i]) >= 0 {
			p.i++ // belongs to no address
			continue
		}
		p.word(false)
	}
	a.Mailbox = p.local()
	if end := strings.IndexByte(p.s[p.i:], '>'); end >= 0 {
		p.i += end + 1
	} else {
		p.i = len(p.s)
	}
	p.space()
	if a.Name == "" {
		a.Name = p.comment
	}
	if a.Mailbox != "" || a.Host != "" || a.Name != "" {
		p.add(a)
	}
	for p.i < len(p.s) && p.s[p.i] != ',' && p.s[p.i] != ';' {
		p.i += max(1, commentOr(p.s[p.i:]))
	}
	if p.i < len(p.s) && p.s[p.i] == ',' {
		p.i++
	}
}

// commentOr is the length of the comment s begins with, or 0.
func commentOr(s string) int {
	if s[0] == '(' {
		return commentEnd(s)
	}
	return 0
}

// route reads an obsolete source route up to its colon.
func (p *addressParser) route() string {
	p.space()
	if p.i >= len(p.s) || p.s[p.i] != '@' {
		return ""
	}
	end := strings.IndexAny(p.s[p.i:], ":>")
	if end < 0 || p.s[p.i+end] != ':' {
		return ""
	}
	route := strings.Join(strings.Fields(p.s[p.i:p.i+end]), "")
	p.i += end + 1
	return route
}
