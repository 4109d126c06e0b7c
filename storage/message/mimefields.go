package message

import (
	"slices"
	"strings"
)

const (
	// maxToken bounds types, subtypes, encodings and dispositions.
	maxToken = 64
	// maxParams bounds the parameters kept of one field.
	maxParams = 64
)

// setDefaults makes the part what RFC 2045 5.2 says of one without a
// Content-Type, and RFC 2046 5.1.5 of one in a digest.
func (p *Part) setDefaults(inDigest bool) {
	p.Encoding = "7bit"
	if inDigest {
		p.Type, p.Subtype = "message", "rfc822"
		return
	}
	p.Type, p.Subtype = "text", "plain"
	p.Params = [][2]string{{"charset", "us-ascii"}}
}

func (p *Part) isMessage() bool {
	return p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global")
}

// readFields fills in the part from its header block. If it is not rich only
// type, encoding and boundary are kept. The first of repeated fields counts.
func (p *Part) readFields(block string, rich, inDigest bool) {
	p.setDefaults(inDigest)
	var seen uint8
	first := func(bit uint8) bool {
		had := seen&bit != 0
		seen |= bit
		return !had
	}
	eachField(block, func(name, value string) {
		if len(name) < 10 || len(name) > 25 || !strings.EqualFold(name[:8], "content-") {
			return
		}
		switch rest := strings.ToLower(name[8:]); {
		case rest == "type" && first(1):
			p.readType(unfold(value), rich)
		case rest == "transfer-encoding" && first(2):
			p.Encoding = encodingOf(unfold(value))
		case !rich:
		case rest == "disposition" && first(4):
			var text string
			text, p.DispositionParams = splitParams(unfold(value))
			p.Disposition = token(text)
			if p.Disposition == "" && len(p.DispositionParams) > 0 {
				p.Disposition = "attachment" // RFC 2183 2.8
			}
		case rest == "id" && first(8):
			p.ID = unfold(value)
		case rest == "description" && first(16):
			p.Description = unfold(value)
		case rest == "md5" && first(32):
			p.MD5 = unfold(value)
		case rest == "location" && first(64):
			p.Location = strings.Join(strings.Fields(unfold(value)), "")
		case rest == "language" && first(128):
			p.Language = languages(unfold(value))
		}
	})
}

// readType reads a Content-Type. One that cannot be read counts as absent
// (RFC 2045 5.2).
func (p *Part) readType(value string, rich bool) {
	text, params := splitParams(value)
	typ, subtype, slash := strings.Cut(text, "/")
	typ, subtype = token(typ), token(subtype)
	if typ == "" {
		return
	}
	if !slash || subtype == "" {
		switch typ {
		case "text":
			subtype = "plain"
		case "multipart":
			subtype = "mixed"
		default:
			return
		}
	}
	if !rich {
		params = slices.DeleteFunc(params, func(kv [2]string) bool {
			return kv[0] != "boundary" || len(kv[1]) > maxBoundary
		})
	}
	p.Type, p.Subtype, p.Params = typ, subtype, params
}

// boundaryOf is the boundary of a multipart. It cannot end in white space, and
// trailing white space on a delimiter line is padding.
func boundaryOf(p *Part) string {
	for _, kv := range p.Params {
		if kv[0] == "boundary" {
			return strings.TrimRight(kv[1], " \t")
		}
	}
	return strings.TrimRight(p.Param("boundary"), " \t")
}

func encodingOf(value string) string {
	text, _ := splitParams(value)
	if e := token(text); e != "" {
		return e
	}
	return "7bit"
}

// token gives the first token of s in lower case, without comments; "" if there
// is none.
func token(s string) string {
	s = strings.Trim(s, " \t\"")
	for strings.HasPrefix(s, "(") {
		s = strings.Trim(s[commentEnd(s):], " \t")
	}
	end := 0
	for end < len(s) && end < maxToken && isToken(s[end]) {
		end++
	}
	return strings.ToLower(s[:end])
}

// isToken is RFC 2045's token.
func isToken(c byte) bool {
	if c <= ' ' || c >= 0x7f {
		return false
	}
	switch c {
	case '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '=':
		return false
	}
	return true
}

// commentEnd is the length of the comment s begins with, brackets and nested
// comments included.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// splitParams cuts an unfolded field into its text and its parameters, names in
// lower case, quotes removed. It takes what real mail has: missing quotes,
// missing semicolons at the end, spaces in values.
func splitParams(s string) (text string, params [][2]string) {
	semi := strings.IndexByte(s, ';')
	if semi < 0 {
		return s, nil
	}
	text, s = s[:semi], s[semi:]
	for s != "" && len(params) < maxParams {
		s = strings.TrimLeft(s, "; \t")
		if strings.HasPrefix(s, "(") {
			s = s[commentEnd(s):]
			continue
		}
		eq := strings.IndexAny(s, "=;")
		if eq < 0 {
			break
		}
		if s[eq] == ';' {
			s = s[eq:] // a word without a value
			continue
		}
		name := strings.ToLower(strings.Trim(s[:eq], " \t"))
		var value string
		value, s = paramValue(strings.TrimLeft(s[eq+1:], " \t"))
		if isParamName(name) {
			params = append(params, [2]string{name, value})
		}
	}
	return text, params
}

func isParamName(name string) bool {
	for i := 0; i < len(name); i++ {
		if !isToken(name[i]) {
			return false
		}
	}
	return name != "" && len(name) <= maxToken
}

// paramValue reads a value and gives what follows it, from its semicolon on.
func paramValue(s string) (value, rest string) {
	if strings.HasPrefix(s, `"`) {
		value, s = quoted(s)
		if semi := strings.IndexByte(s, ';'); semi >= 0 {
			return value, s[semi:]
		}
		return value, ""
	}
	end := strings.IndexByte(s, ';')
	if end < 0 {
		end = len(s)
	}
	value, rest = s[:end], s[end:]
	if c := strings.Index(value, " ("); c >= 0 {
		value = value[:c]
	}
	return strings.Trim(value, " \t"), rest
}

// quoted reads the quoted string s begins with and gives what follows it. A
// missing end quote is taken to stand at the end.
func quoted(s string) (value, rest string) {
	if end := strings.IndexAny(s[1:], `"\`); end >= 0 && s[1+end] == '"' {
		return s[1 : 1+end], s[2+end:]
	}
	b := make([]byte, 0, 64)
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return string(b), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b = append(b, s[i])
			}
		default:
			b = append(b, c)
		}
	}
	return string(b), ""
}

// languages reads Content-Language (RFC 3282).
func languages(s string) []string {
	var tags []string
	for tag := range strings.SplitSeq(s, ",") {
		if t := strings.Trim(tag, " \t"); t != "" && len(t) <= maxToken && len(tags) < maxParams {
			if c := strings.IndexAny(t, " \t("); c > 0 {
				t = t[:c]
			}
			tags = append(tags, t)
		}
	}
	return tags
}

// hasAttachment reports whether a reader would show a paper clip: a part that
// is neither text to read, nor a picture the text shows, nor a signature, nor a
// report for machines.
func hasAttachment(p, parent *Part) bool {
	if p.Type == "multipart" {
		for _, c := range p.Parts {
			if hasAttachment(c, p) {
				return true
			}
		}
		return false
	}
	switch p.Subtype {
	case "pgp-signature", "pkcs7-signature", "x-pkcs7-signature", "pgp-encrypted",
		"delivery-status", "global-delivery-status", "disposition-notification", "rfc822-headers":
		return false
	}
	if p.Disposition == "attachment" {
		return true
	}
	if p.Type == "text" && p.Filename() == "" {
		return false
	}
	shown := p.Disposition == "inline" || (parent != nil && parent.Subtype == "related")
	return !(shown && (p.ID != "" || p.Type == "text"))
}
