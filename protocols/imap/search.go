package imap

import (
	"slices"
	"strings"
	"time"

	"rookery/protocols/imap/wire"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// searchFamily holds SEARCH and UID SEARCH (RFC 9051 6.4.4) with ESEARCH (RFC
// 4731), SEARCHRES (RFC 5182), MODSEQ (RFC 7162), WITHIN (RFC 5032) and the
// keys of RFC 8474 and RFC 8514.
func searchFamily() family {
	return family{
		commands: []*cmd{
			lasting(define("SEARCH", selectedState, tellNoExpunges, parseSearch, runSearch(false))),
			lasting(define("UID SEARCH", selectedState, tellAll, parseSearch, runSearch(true))),
		},
		caps: caps(signedIn, "ESEARCH", "SEARCHRES"),
	}
}

// savedSearch is the result kept by SAVE, for "$".
type savedSearch struct{ uids mailbox.UIDs }

type searchArgs struct {
	key *searchKey
	// what RETURN asks for; extended: RETURN was given.
	extended, min, max, all, count, save bool
	modseq                               bool // a MODSEQ key is among them
}

// searchOp is what a key tests.
type searchOp uint8

const (
	opAnd searchOp = iota
	opOr
	opNot
	opAll
	opNone
	opSeq
	opUID
	opFlag
	opKeyword
	opLarger
	opSmaller
	opModSeq
	opEmailID
	opThreadID
	opDate  // INTERNALDATE within [from, to)
	opSaved // SAVEDATE within
	opSent  // Date field within
	opHeader
	opBody
	opText
)

// cost is what a key needs: 0 the row, 1 the extract, 2 the body.
func (o searchOp) cost() int {
	switch o {
	case opSent, opHeader:
		return 1
	case opBody, opText:
		return 2
	}
	return 0
}

// searchKey is one node of the tree.
type searchKey struct {
	op   searchOp
	kids []*searchKey
	cost int

	set      wire.NumSet
	uids     mailbox.UIDs // set, as the session resolves it
	flag     command.Flags
	str      string // keyword, field name, id
	needle   needle
	slot     int // of the field or the needle in the plan
	n        uint64
	from, to int64 // unix seconds
}

// searchParser reads keys within bounds.
type searchParser struct {
	*session
	l    *wire.Lexer
	args *searchArgs
	left int
	now  time.Time
	// the keys so far that read bodies, read headers and hold sets
	texts, headers, sets int
}

// count refuses a key that is one too many of its class.
func (p *searchParser) count(n *int, limit int, what string) {
	if *n++; *n > limit {
		p.l.Fail(no("LIMIT", "SEARCH has more than %d %s; split it into several", limit, what))
	}
}

func (p *searchParser) numSet() wire.NumSet {
	p.count(&p.sets, p.srv.limits.SearchSets, "sets of messages")
	return p.l.NumSet()
}

// text takes a key's string.
func (p *searchParser) text(op searchOp, field string) *searchKey {
	if op == opHeader {
		p.count(&p.headers, p.srv.limits.SearchHeaders, "keys on header fields")
	} else {
		p.count(&p.texts, p.srv.limits.SearchTexts, "BODY and TEXT keys")
	}
	p.l.SP()
	text := p.l.AString()
	if limit := p.srv.limits.SearchString; p.l.OK() && len(text) > limit {
		p.l.Fail(no("LIMIT", "SEARCH looks for a string longer than %d octets", limit))
		return nil
	}
	return &searchKey{op: op, cost: op.cost(), str: field, needle: newNeedle(text)}
}

func parseSearch(s *session, l *wire.Lexer) searchArgs {
	var a searchArgs
	p := &searchParser{session: s, l: l, args: &a, left: s.srv.limits.SearchKeys, now: s.srv.o.Clock()}
	l.SP()
	word := p.keyword()
	if word == "RETURN" {
		p.options()
		l.SP()
		word = p.keyword()
	}
	if word == "CHARSET" {
		l.SP()
		p.charset(l.AString())
		l.SP()
		word = p.keyword()
	}
	keys := []*searchKey{p.key(word, 0)}
	for l.OK() && l.Accept(' ') {
		if l.AtEnd() {
			break
		}
		keys = append(keys, p.key(p.keyword(), 0))
	}
	l.End()
	if l.OK() {
		a.key = and(keys)
	}
	return a
}

func (p *searchParser) options() {
	p.args.extended = true
	p.l.SP()
	p.l.Byte('(')
	none := true
	for p.l.OK() && !p.l.Accept(')') {
		p.l.Accept(' ')
		none = false
		switch o := strings.ToUpper(p.l.Atom()); o {
		case "MIN":
			p.args.min = true
		case "MAX":
			p.args.max = true
		case "ALL":
			p.args.all = true
		case "COUNT":
			p.args.count = true
		case "SAVE":
			p.args.save = true
		default:
			p.l.Syntax("the SEARCH return option %.40s is unknown", o)
		}
	}
	if none {
		p.args.all = true
	}
}

func (p *searchParser) charset(name string) {
	if !p.l.OK() || wire.Fold(name, "UTF-8") || wire.Fold(name, "US-ASCII") {
		return
	}
	p.l.Fail(no("BADCHARSET (US-ASCII UTF-8)", "The charset is not supported"))
}

// keyword takes a key's name; "" where a set or a parenthesis begins.
func (p *searchParser) keyword() string {
	c, ok := p.l.Peek()
	if !ok || c == '(' || c == '*' || c == '$' || c >= '0' && c <= '9' {
		return ""
	}
	return strings.ToUpper(p.l.Atom())
}

// key reads the key whose name has been taken.
func (p *searchParser) key(word string, depth int) *searchKey {
	l := p.l
	if p.left--; p.left < 0 {
		l.Fail(no("LIMIT", "SEARCH has more than %d keys", p.srv.limits.SearchKeys))
	}
	if depth > p.srv.limits.SearchDepth {
		l.Fail(no("LIMIT", "SEARCH keys nest deeper than %d", p.srv.limits.SearchDepth))
	}
	if !l.OK() {
		return nil
	}
	switch word {
	case "":
		if l.Accept('(') {
			keys := []*searchKey{p.key(p.keyword(), depth+1)}
			for l.OK() && !l.Accept(')') {
				l.SP()
				keys = append(keys, p.key(p.keyword(), depth+1))
			}
			return and(keys)
		}
		return &searchKey{op: opSeq, set: p.numSet()}
	case "NOT":
		l.SP()
		return not(p.key(p.keyword(), depth+1))
	case "OR":
		l.SP()
		a := p.key(p.keyword(), depth+1)
		l.SP()
		b := p.key(p.keyword(), depth+1)
		if !l.OK() {
			return nil
		}
		return combine(opOr, []*searchKey{a, b})
	case "UID":
		l.SP()
		return &searchKey{op: opUID, set: p.numSet()}
	}
	if k := flagKey(word); k != nil {
		return k
	}
	if k := p.dateKey(word); k != nil {
		return k
	}
	return p.valueKey(word)
}

// flagKey is a key without an argument.
func flagKey(word string) *searchKey {
	flag := func(f command.Flags) *searchKey { return &searchKey{op: opFlag, flag: f} }
	switch word {
	case "ALL", "OLD", "SAVEDATESUPPORTED":
		return &searchKey{op: opAll}
	case "NEW", "RECENT": // \Recent is never set
		return &searchKey{op: opNone}
	case "ANSWERED":
		return flag(command.FlagAnswered)
	case "DELETED":
		return flag(command.FlagDeleted)
	case "DRAFT":
		return flag(command.FlagDraft)
	case "FLAGGED":
		return flag(command.FlagFlagged)
	case "SEEN":
		return flag(command.FlagSeen)
	case "UNANSWERED":
		return not(flag(command.FlagAnswered))
	case "UNDELETED":
		return not(flag(command.FlagDeleted))
	case "UNDRAFT":
		return not(flag(command.FlagDraft))
	case "UNFLAGGED":
		return not(flag(command.FlagFlagged))
	case "UNSEEN":
		return not(flag(command.FlagSeen))
	}
	return nil
}

// forever is a bound no date reaches.
const forever = 1 << 62

// dateKey is a key with a date or an age. Dates are days of UTC.
func (p *searchParser) dateKey(word string) *searchKey {
	op := opDate
	base := word
	switch {
	case strings.HasPrefix(word, "SENT"):
		op, base = opSent, word[4:]
	case strings.HasPrefix(word, "SAVED"):
		op, base = opSaved, word[5:]
	}
	switch base {
	case "BEFORE", "ON", "SINCE":
		if op == opSent {
			p.count(&p.headers, p.srv.limits.SearchHeaders, "keys on header fields")
		}
		p.l.SP()
		day := p.date()
		k := &searchKey{op: op, cost: op.cost(), from: -forever, to: forever}
		if base != "BEFORE" {
			k.from = day
		}
		if base == "BEFORE" {
			k.to = day
		} else if base == "ON" {
			k.to = day + 86400
		}
		return k
	case "OLDER", "YOUNGER":
		if op != opDate {
			return nil
		}
		p.l.SP()
		at := p.now.Unix() - int64(p.l.Number())
		if base == "OLDER" {
			return &searchKey{op: opDate, from: -forever, to: at + 1}
		}
		return &searchKey{op: opDate, from: at, to: forever}
	}
	return nil
}

// date takes a date: d-Mon-yyyy, perhaps quoted.
func (p *searchParser) date() int64 {
	text := p.l.AString()
	t, err := time.Parse("2-Jan-2006", strings.TrimSpace(text))
	if err != nil {
		p.l.Syntax("%.40q is not a date of the form dd-Mon-yyyy", text)
	}
	return t.Unix()
}

// valueKey is a key with another argument.
func (p *searchParser) valueKey(word string) *searchKey {
	l := p.l
	switch word {
	case "KEYWORD", "UNKEYWORD":
		l.SP()
		k := &searchKey{op: opKeyword, str: l.Atom()}
		if word == "UNKEYWORD" {
			return not(k)
		}
		return k
	case "LARGER", "SMALLER":
		l.SP()
		op := opLarger
		if word == "SMALLER" {
			op = opSmaller
		}
		return &searchKey{op: op, n: l.Digits()}
	case "MODSEQ":
		p.args.modseq = true
		l.SP()
		if l.Next('"') { // entry name and type: flags have one MODSEQ here
			_ = l.String()
			l.SP()
			l.Atom()
			l.SP()
		}
		return &searchKey{op: opModSeq, n: l.Digits()}
	case "EMAILID", "THREADID":
		l.SP()
		op := opEmailID
		if word == "THREADID" {
			op = opThreadID
		}
		return &searchKey{op: op, str: l.AString()}
	case "HEADER":
		l.SP()
		field := l.AString()
		return p.text(opHeader, field)
	case "SUBJECT", "FROM", "TO", "CC", "BCC":
		return p.text(opHeader, word)
	case "BODY":
		return p.text(opBody, "")
	case "TEXT":
		return p.text(opText, "")
	}
	l.Syntax("the SEARCH key %.40q is unknown", word)
	return nil
}

func not(k *searchKey) *searchKey {
	if k == nil {
		return nil
	}
	return &searchKey{op: opNot, kids: []*searchKey{k}, cost: k.cost}
}

func and(keys []*searchKey) *searchKey {
	if len(keys) == 1 {
		return keys[0]
	}
	return combine(opAnd, keys)
}

// combine sorts keys so that the cheap ones decide first.
func combine(op searchOp, keys []*searchKey) *searchKey {
	k := &searchKey{op: op, kids: keys}
	if !slices.Contains(keys, nil) {
		slices.SortStableFunc(keys, func(a, b *searchKey) int { return a.cost - b.cost })
	}
	for _, kid := range keys {
		if kid != nil {
			k.cost = max(k.cost, kid.cost)
		}
	}
	return k
}

// walk calls fn for a key and all below it.
func (k *searchKey) walk(fn func(*searchKey) error) error {
	if err := fn(k); err != nil {
		return err
	}
	for _, kid := range k.kids {
		if err := kid.walk(fn); err != nil {
			return err
		}
	}
	return nil
}
