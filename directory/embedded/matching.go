package embedded

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
)

// rule is how values of an attribute compare (RFC 4517 4.2).
type rule uint8

const (
	ignoreCase rule = iota // caseIgnoreMatch and its IA5 form
	exactCase              // caseExactMatch
	octets                 // octetStringMatch
	names                  // distinguishedNameMatch
	integers               // integerMatch
	booleans               // booleanMatch
	uuids                  // UUIDMatch
	phones                 // telephoneNumberMatch
)

// ruleOf knows the attributes that do not ignore case; there is no schema,
// so all others do.
func ruleOf(name string) rule {
	name, _, _ = strings.Cut(strings.ToLower(name), ";")
	switch name {
	case "userpassword", "jpegphoto", "usercertificate", "objectguid":
		return octets
	case "member", "memberof", "uniquemember", "owner", "manager", "seealso", "entrydn", "creatorsname", "modifiersname":
		return names
	case "uidnumber", "gidnumber", "mailquotasize", "mailquotacount", "useraccountcontrol", "mdboverhardquotalimit":
		return integers
	case "entryuuid":
		return uuids
	case "homedirectory", "loginshell", "gecos":
		return exactCase
	case "telephonenumber", "mobile", "facsimiletelephonenumber":
		return phones
	case "mailenabled", "nsaccountlock", "pwdreset":
		return booleans
	}
	return ignoreCase
}

// ruleNamed gives the matching rule of an extensible filter.
func ruleNamed(s string) (rule, bool) {
	switch strings.ToLower(s) {
	case "caseignorematch", "2.5.13.2", "caseignoreia5match", "1.3.6.1.4.1.1466.109.114.2":
		return ignoreCase, true
	case "caseexactmatch", "2.5.13.5", "caseexactia5match", "1.3.6.1.4.1.1466.109.114.1":
		return exactCase, true
	case "octetstringmatch", "2.5.13.17":
		return octets, true
	case "distinguishednamematch", "2.5.13.1":
		return names, true
	case "integermatch", "2.5.13.14":
		return integers, true
	case "booleanmatch", "2.5.13.13":
		return booleans, true
	case "telephonenumbermatch", "2.5.13.20":
		return phones, true
	case "uuidmatch", "1.3.6.1.1.16.2":
		return uuids, true
	}
	return 0, false
}

// normal is the form in which values are equal byte by byte.
func (r rule) normal(s string) string {
	switch r {
	case octets:
		return s
	case exactCase:
		return strings.Join(strings.Fields(s), " ")
	case names:
		if d, err := parseDN(s); err == nil {
			return d.key()
		}
	case integers:
		if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
			return strconv.FormatInt(n, 10)
		}
	case uuids:
		if len(s) == 16 { // binary form
			s = hex.EncodeToString([]byte(s))
		}
		return strings.ToLower(strings.ReplaceAll(s, "-", ""))
	case phones:
		s = strings.NewReplacer(" ", "", "-", "").Replace(s)
	}
	return foldSpace(s)
}

// compare orders two values: as numbers where both are, else as normalised
// text, which orders generalized times rightly too.
func (r rule) compare(a, b string) int {
	if r != octets {
		x, errX := strconv.ParseInt(strings.TrimSpace(a), 10, 64)
		y, errY := strconv.ParseInt(strings.TrimSpace(b), 10, 64)
		if errX == nil && errY == nil {
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		}
	}
	return strings.Compare(r.normal(a), r.normal(b))
}

// pieces is a substring assertion (RFC 4511 4.5.1.7.2), its parts normalised
// when it is matched.
type pieces struct {
	initial, final       string
	hasInitial, hasFinal bool
	any                  []string
}

func (p pieces) match(r rule, value string) bool {
	v := r.normal(value)
	if p.hasInitial {
		s := r.part(p.initial)
		if !strings.HasPrefix(v, s) {
			return false
		}
		v = v[len(s):]
	}
	final := ""
	if p.hasFinal {
		final = r.part(p.final)
		if !strings.HasSuffix(v, final) {
			return false
		}
		v = v[:len(v)-len(final)]
	}
	for _, a := range p.any {
		s := r.part(a)
		i := strings.Index(v, s)
		if i < 0 {
			return false
		}
		v = v[i+len(s):]
	}
	return true
}

// part normalises a piece of a value: blanks at its ends are significant.
func (r rule) part(s string) string {
	switch r {
	case octets:
		return s
	case exactCase:
		return squeeze(s)
	case uuids, phones:
		return r.normal(s)
	}
	inner := foldSpace(s)
	if inner == "" && s != "" {
		return " "
	}
	if s != "" && unicode.IsSpace(rune(s[0])) {
		inner = " " + inner
	}
	if s != "" && unicode.IsSpace(rune(s[len(s)-1])) {
		inner += " "
	}
	return inner
}

func squeeze(s string) string {
	var b strings.Builder
	blank := false
	for _, r := range s {
		if r == ' ' && blank {
			continue
		}
		blank = r == ' '
		b.WriteRune(r)
	}
	return b.String()
}

// sounds is the loose form behind approxMatch: letters and digits only.
func sounds(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}
