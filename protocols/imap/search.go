package imap

import (
	"strings"
	"time"

	"rookery/protocols/imap/wire"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/search"
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
	key  *search.Key
	sets []searchSet // keys that want to know which messages their sets name
	// what RETURN asks for; extended: RETURN was given.
	extended, min, max, all, count, save bool
	modseq                               bool // a MODSEQ key is among them
}

// searchSet is a key on messages that the session names by a set.
type searchSet struct {
	key   *search.Key
	set   wire.NumSet
	byUID bool
}

// searchParser reads keys within bounds.
type searchParser struct {
	*session
	l    *wire.Lexer
	args *searchArgs
	left int
	now  time.Time
	// the keys so far that read bodies and read headers
	texts, headers int
}

// count refuses a key that is one too many of its class.
func (p *searchParser) count(n *int, limit int, what string) {
	*n++
	p.bound(*n, limit, what)
}

func (p *searchParser) bound(n, limit int, what string) {
	if n > limit {
		p.l.Fail(no("LIMIT", "SEARCH has more than %d %s; split it into several", limit, what))
	}
}

// set takes a set of message numbers or UIDs.
func (p *searchParser) set(byUID bool) *search.Key {
	p.bound(len(p.args.sets)+1, p.srv.limits.SearchSets, "sets of messages")
	k := search.UIDs()
	p.args.sets = append(p.args.sets, searchSet{k, p.l.NumSet(), byUID})
	return k
}

// text takes a key's string.
func (p *searchParser) text() string {
	p.l.SP()
	text := p.l.AString()
	if limit := p.srv.limits.SearchString; p.l.OK() && len(text) > limit {
		p.l.Fail(no("LIMIT", "SEARCH looks for a string longer than %d octets", limit))
		return ""
	}
	return text
}

func (p *searchParser) header(field string) *search.Key {
	p.count(&p.headers, p.srv.limits.SearchHeaders, "keys on header fields")
	return search.Header(field, p.text())
}

func (p *searchParser) content(key func(text string) *search.Key) *search.Key {
	p.count(&p.texts, p.srv.limits.SearchTexts, "BODY and TEXT keys")
	return key(p.text())
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
	keys := []*search.Key{p.key(word, 0)}
	for l.OK() && l.Accept(' ') {
		if l.AtEnd() {
			break
		}
		keys = append(keys, p.key(p.keyword(), 0))
	}
	l.End()
	if l.OK() {
		a.key = search.And(keys...)
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
func (p *searchParser) key(word string, depth int) *search.Key {
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
			keys := []*search.Key{p.key(p.keyword(), depth+1)}
			for l.OK() && !l.Accept(')') {
				l.SP()
				keys = append(keys, p.key(p.keyword(), depth+1))
			}
			return search.And(keys...)
		}
		return p.set(false)
	case "NOT":
		l.SP()
		return search.Not(p.key(p.keyword(), depth+1))
	case "OR":
		l.SP()
		a := p.key(p.keyword(), depth+1)
		l.SP()
		b := p.key(p.keyword(), depth+1)
		if !l.OK() {
			return nil
		}
		return search.Or(a, b)
	case "UID":
		l.SP()
		return p.set(true)
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
func flagKey(word string) *search.Key {
	switch word {
	case "ALL", "OLD", "SAVEDATESUPPORTED":
		return search.All()
	case "NEW", "RECENT": // \Recent is never set
		return search.None()
	case "ANSWERED":
		return search.Flag(command.FlagAnswered)
	case "DELETED":
		return search.Flag(command.FlagDeleted)
	case "DRAFT":
		return search.Flag(command.FlagDraft)
	case "FLAGGED":
		return search.Flag(command.FlagFlagged)
	case "SEEN":
		return search.Flag(command.FlagSeen)
	case "UNANSWERED":
		return search.Not(search.Flag(command.FlagAnswered))
	case "UNDELETED":
		return search.Not(search.Flag(command.FlagDeleted))
	case "UNDRAFT":
		return search.Not(search.Flag(command.FlagDraft))
	case "UNFLAGGED":
		return search.Not(search.Flag(command.FlagFlagged))
	case "UNSEEN":
		return search.Not(search.Flag(command.FlagSeen))
	}
	return nil
}

// dateKey is a key with a date or an age. Dates are days of UTC.
func (p *searchParser) dateKey(word string) *search.Key {
	within, base := search.Received, word
	switch {
	case strings.HasPrefix(word, "SENT"):
		within, base = search.Sent, word[4:]
	case strings.HasPrefix(word, "SAVED"):
		within, base = search.Saved, word[5:]
	}
	switch base {
	case "BEFORE", "ON", "SINCE":
		if strings.HasPrefix(word, "SENT") {
			p.count(&p.headers, p.srv.limits.SearchHeaders, "keys on header fields")
		}
		p.l.SP()
		day := p.date()
		switch base {
		case "BEFORE":
			return within(-search.Forever, day)
		case "ON":
			return within(day, day+86400)
		}
		return within(day, search.Forever)
	}
	switch word {
	case "OLDER", "YOUNGER":
		p.l.SP()
		at := p.now.Unix() - int64(p.l.Number())
		if word == "OLDER" {
			return search.Received(-search.Forever, at+1)
		}
		return search.Received(at, search.Forever)
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
func (p *searchParser) valueKey(word string) *search.Key {
	l := p.l
	switch word {
	case "KEYWORD", "UNKEYWORD":
		l.SP()
		k := search.Keyword(l.Atom())
		if word == "UNKEYWORD" {
			return search.Not(k)
		}
		return k
	case "LARGER":
		l.SP()
		return search.Larger(l.Digits())
	case "SMALLER":
		l.SP()
		return search.Smaller(l.Digits())
	case "MODSEQ":
		p.args.modseq = true
		l.SP()
		if l.Next('"') { // entry name and type: flags have one MODSEQ here
			_ = l.String()
			l.SP()
			l.Atom()
			l.SP()
		}
		return search.ModSeq(l.Digits())
	case "EMAILID":
		l.SP()
		return search.EmailID(l.AString())
	case "THREADID":
		l.SP()
		return search.ThreadID(l.AString())
	case "HEADER":
		l.SP()
		return p.header(l.AString())
	case "SUBJECT", "FROM", "TO", "CC", "BCC":
		return p.header(word)
	case "BODY":
		return p.content(search.Body)
	case "TEXT":
		return p.content(search.Text)
	}
	l.Syntax("the SEARCH key %.40q is unknown", word)
	return nil
}
