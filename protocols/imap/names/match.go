package names

import "strings"

// Pattern is a LIST pattern made ready: "*" matches anything, "%" anything
// without the separator. It holds, for every octet of the pattern, one bit in
// each set: place k has been reached when all before it has matched.
type Pattern struct {
	// everything: the pattern is "*" alone.
	everything bool
	// prefix stands before the first wildcard, suffix behind the last one.
	prefix, suffix string
	// plain: there is no wildcard, and prefix is all.
	plain bool

	words   int               // in each set
	end     int               // the place behind the last element
	literal map[byte][]uint64 // places of an octet
	star    []uint64          // places of "*"
	wild    []uint64          // places of "*" and "%"
}

// smallSet is how many words of places a Match keeps on its stack.
const smallSet = 16

// Compile reads reference and pattern as one (RFC 9051 6.3.9: the reference
// is a prefix here). INBOX, alone or as first level, is taken in any case.
func Compile(reference, pattern string) Pattern {
	s := strong(reference + pattern)
	if len(s) >= 5 && strings.EqualFold(s[:5], "INBOX") && (len(s) == 5 || s[5] == '/') {
		s = "INBOX" + s[5:]
	}
	p := Pattern{everything: s == "*", prefix: s, plain: true, end: len(s)}
	if i := strings.IndexAny(s, "*%"); i >= 0 {
		p.plain, p.prefix, p.suffix = false, s[:i], s[strings.LastIndexAny(s, "*%")+1:]
	}
	if p.plain || p.everything {
		return p
	}
	p.words = len(s)/64 + 1
	p.star, p.wild, p.literal = make([]uint64, p.words), make([]uint64, p.words), map[byte][]uint64{}
	for i := 0; i < len(s); i++ {
		word, bit := i/64, uint64(1)<<(i%64)
		switch s[i] {
		case '*':
			p.star[word] |= bit
			fallthrough
		case '%':
			p.wild[word] |= bit
		default:
			if p.literal[s[i]] == nil {
				p.literal[s[i]] = make([]uint64, p.words)
			}
			p.literal[s[i]][word] |= bit
		}
	}
	return p
}

// strong leaves one of the wildcards that stand side by side: they say no more
// than the strongest.
func strong(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if n := len(out); n > 0 && wildcard(s[i]) && wildcard(out[n-1]) {
			if s[i] == '*' {
				out[n-1] = '*'
			}
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func wildcard(c byte) bool { return c == '*' || c == '%' }

// Match reports whether the name matches. It takes at most len(name) times
// len(pattern)/64 steps, whatever the wildcards.
func (p *Pattern) Match(name string) bool {
	if p.everything {
		return true
	}
	fold := 0 // the octets that are taken in any case
	if name == "INBOX" || strings.HasPrefix(name, "INBOX/") {
		fold = 5
	}
	if p.plain {
		return len(name) == len(p.prefix) && begins(name, p.prefix, fold)
	}
	if !begins(name, p.prefix, fold) || len(p.suffix) > len(name) ||
		len(name)-len(p.suffix) >= fold && !strings.HasSuffix(name, p.suffix) {
		return false
	}
	return p.run(name, fold)
}

// begins reports whether name begins with prefix, its first fold octets, which
// are capitals, in any case.
func begins(name, prefix string, fold int) bool {
	if len(name) < len(prefix) {
		return false
	}
	fold = min(fold, len(prefix))
	return strings.EqualFold(name[:fold], prefix[:fold]) && name[fold:len(prefix)] == prefix[fold:]
}

// run follows all ways to match at once, an octet of the name at a time.
func (p *Pattern) run(name string, fold int) bool {
	var some [2 * smallSet]uint64
	sets := some[:]
	if p.words > smallSet {
		sets = make([]uint64, 2*p.words)
	}
	now, next := sets[:p.words:p.words], sets[p.words:2*p.words]
	now[0] = 1
	p.skipWild(now)
	for i := 0; i < len(name); i++ {
		stay := p.wild
		if name[i] == '/' {
			stay = p.star
		}
		literal, lower := p.literal[name[i]], []uint64(nil)
		if i < fold {
			lower = p.literal[name[i]|0x20]
		}
		var carry, alive uint64
		for w, at := range now {
			var step uint64
			if literal != nil {
				step = at & literal[w]
			}
			if lower != nil {
				step |= at & lower[w]
			}
			next[w] = at&stay[w] | step<<1 | carry
			carry = step >> 63
			alive |= next[w]
		}
		if alive == 0 {
			return false
		}
		p.skipWild(next)
		now, next = next, now
	}
	return now[p.end/64]>>(p.end%64)&1 != 0
}

// skipWild lets each wildcard match nothing. No two stand side by side, so one
// pass is enough.
func (p *Pattern) skipWild(at []uint64) {
	var carry uint64
	for w := range at {
		step := at[w] & p.wild[w]
		at[w] |= step<<1 | carry
		carry = step >> 63
	}
}
