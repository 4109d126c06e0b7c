package imap

import (
	"strconv"
	"strings"

	"rookery"
	"rookery/protocols/imap/wire"
)

// fetchFamily holds FETCH and UID FETCH (RFC 9051 6.4.5, RFC 7162, 3516, 8474,
// 8514, 8970).
func fetchFamily() family {
	return family{commands: []*cmd{
		lasting(define("FETCH", selectedState, tellNoExpunges, parseFetch, runFetch(false))),
		lasting(define("UID FETCH", selectedState, tellAll, parseFetch, runFetch(true))),
	}}
}

type fetchArgs struct {
	set      wire.NumSet
	items    []fetchItem
	since    *rookery.ModSeq // CHANGEDSINCE
	vanished bool
}

// fetchItem is one data item.
type fetchItem struct {
	name    string // as the response spells it, without the section
	section *section
}

// section is what stands in brackets behind BODY and BINARY.
type section struct {
	path   []uint32
	spec   string // "", HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME
	fields []string
	named  map[string]bool // fields, in lower case
	peek   bool
	binary bool
	size   bool // BINARY.SIZE
	// partial: n octets from offset from.
	partial bool
	from, n int64
	// legacy is the name of RFC822, RFC822.HEADER or RFC822.TEXT.
	legacy string
}

// what an item needs beyond the row.
func (it *fetchItem) needsExtract() bool {
	switch it.name {
	case "ENVELOPE", "BODY", "BODYSTRUCTURE", "PREVIEW":
		return true
	}
	return it.section != nil && !it.section.whole()
}

// whole reports whether the section is the message as it is.
func (sec *section) whole() bool { return len(sec.path) == 0 && sec.spec == "" }

// needsBody reports whether an item is read from the body, not the extract.
func (it *fetchItem) needsBody() bool {
	return it.section != nil && (len(it.section.path) > 0 || !strings.HasPrefix(it.section.spec, "HEADER"))
}

// setsSeen reports whether fetching the item marks the message as seen.
func (it *fetchItem) setsSeen() bool { return it.section != nil && !it.section.peek }

func parseFetch(s *session, l *wire.Lexer) fetchArgs {
	var a fetchArgs
	l.SP()
	a.set = l.NumSet()
	l.SP()
	if l.Accept('(') {
		spaced := true
		for l.OK() && !l.Accept(')') {
			if !spaced {
				l.SP()
			}
			var word string
			if spaced, word = parseFetchItem(l, &a); word != "" {
				l.Syntax("the PREVIEW modifier %.40s is unknown", word)
			}
			if len(a.items) > s.srv.limits.FetchItems {
				l.Syntax("FETCH names more than %d items", s.srv.limits.FetchItems)
			}
		}
		if len(a.items) == 0 {
			l.Syntax("FETCH names no item")
		}
		if l.Accept(' ') {
			l.Byte('(')
			parseFetchModifiers(s, l, &a, l.Atom())
		}
	} else {
		spaced, first := parseFetchItem(l, &a)
		if first == "" && (spaced || l.Accept(' ')) {
			l.Byte('(')
			first = l.Atom()
		}
		if first != "" {
			parseFetchModifiers(s, l, &a, first)
		}
	}
	l.End()
	return a
}

// parseFetchModifiers takes the modifiers from behind the first one's name.
func parseFetchModifiers(s *session, l *wire.Lexer, a *fetchArgs, word string) {
	for l.OK() {
		switch w := strings.ToUpper(word); w {
		case "CHANGEDSINCE":
			l.SP()
			m := rookery.ModSeq(l.Digits())
			a.since = &m
		case "VANISHED":
			a.vanished = true
		default:
			l.Syntax("the FETCH modifier %.40s is unknown", w)
		}
		if !l.Accept(' ') {
			break
		}
		word = l.Atom()
	}
	l.Byte(')')
	if a.vanished && (a.since == nil || !s.qresync) {
		l.Syntax("VANISHED needs CHANGEDSINCE and ENABLE QRESYNC")
	}
}

func (a *fetchArgs) add(names ...string) {
	for _, n := range names {
		a.items = append(a.items, fetchItem{name: n})
	}
}

// parseFetchItem takes one item. PREVIEW may have a modifier in parentheses,
// so reading it may take the space behind it, and in the form without a list
// of items the first word of what turns out to be FETCH's own modifiers.
func parseFetchItem(l *wire.Lexer, a *fetchArgs) (spaced bool, word string) {
	name := strings.ToUpper(fetchWord(l))
	switch name {
	case "ALL":
		a.add("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE")
	case "FAST":
		a.add("FLAGS", "INTERNALDATE", "RFC822.SIZE")
	case "FULL":
		a.add("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY")
	case "ENVELOPE", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODYSTRUCTURE", "UID", "MODSEQ", "EMAILID",
		"THREADID", "SAVEDATE":
		a.add(name)
	case "PREVIEW":
		a.add(name)
		if !l.Accept(' ') {
			return false, ""
		}
		if !l.Accept('(') {
			return true, ""
		}
		if word = l.Atom(); !wire.Fold(word, "LAZY") {
			return false, word
		}
		l.Byte(')') // ours are always at hand
	case "RFC822", "RFC822.PEEK":
		a.items = append(a.items, fetchItem{"RFC822", &section{legacy: "RFC822", peek: name != "RFC822"}})
	case "RFC822.HEADER":
		a.items = append(a.items, fetchItem{name, &section{legacy: name, spec: "HEADER", peek: true}})
	case "RFC822.TEXT":
		a.items = append(a.items, fetchItem{name, &section{legacy: name, spec: "TEXT"}})
	case "BODY", "BODY.PEEK", "BINARY", "BINARY.PEEK", "BINARY.SIZE":
		if !l.Next('[') {
			if name != "BODY" {
				l.Syntax("%s needs a section in brackets", name)
			}
			a.add(name)
			break
		}
		sec := &section{peek: name != "BODY" && name != "BINARY", binary: strings.HasPrefix(name, "BINARY"),
			size: name == "BINARY.SIZE"}
		parseSection(l, sec)
		a.items = append(a.items, fetchItem{name, sec})
	default:
		l.Syntax("the FETCH item %.40s is unknown", name)
	}
	return false, ""
}

// fetchWord takes an item's name, which ends at a bracket.
func fetchWord(l *wire.Lexer) string { return l.Until("[") }

func parseSection(l *wire.Lexer, sec *section) {
	l.Byte('[')
	word := ""
	if !l.Next(']') {
		word = l.Until("]")
	}
	for word != "" {
		head, rest, _ := strings.Cut(word, ".")
		n, err := strconv.ParseUint(head, 10, 32)
		if err != nil {
			break
		}
		if n == 0 || len(sec.path) >= 200 || strings.HasSuffix(word, ".") {
			l.Syntax("the section %.40q is not a part number", word)
			return
		}
		sec.path = append(sec.path, uint32(n))
		word = rest
	}
	sec.spec = strings.ToUpper(word)
	switch sec.spec {
	case "", "HEADER", "TEXT":
	case "MIME":
		if len(sec.path) == 0 {
			l.Syntax("MIME needs a part number")
		}
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		l.SP()
		parseFieldNames(l, sec)
	default:
		l.Syntax("the section %.40q is unknown", word)
	}
	if sec.binary && sec.spec != "" {
		l.Syntax("BINARY takes a part number only")
	}
	l.Byte(']')
	if l.Next('<') && !sec.size {
		parsePartial(l, sec)
	}
}

// maxFieldNames is the most fields that one section names.
const maxFieldNames = 100

func parseFieldNames(l *wire.Lexer, sec *section) {
	sec.named = map[string]bool{}
	l.Byte('(')
	for l.OK() && !l.Accept(')') {
		if len(sec.fields) > 0 {
			l.SP()
		}
		name := l.AString()
		sec.fields = append(sec.fields, name)
		sec.named[strings.ToLower(name)] = true
		if len(sec.fields) > maxFieldNames {
			l.Syntax("%s names more than %d fields", sec.spec, maxFieldNames)
		}
	}
	if l.OK() && len(sec.fields) == 0 {
		l.Syntax("%s names no field", sec.spec)
	}
}

func parsePartial(l *wire.Lexer, sec *section) {
	l.Byte('<')
	sec.partial = true
	sec.from = int64(l.Digits())
	l.Byte('.')
	sec.n = int64(l.Digits())
	if l.OK() && sec.n == 0 {
		l.Syntax("a partial of no octets")
	}
	l.Byte('>')
}
