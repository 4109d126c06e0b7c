package message

import (
	"strings"
	"unicode/utf8"
)

// maxSubject bounds the subject looked at, in bytes: removing marks takes time
// that grows with its square.
const maxSubject = 2048

// cutText gives at most limit bytes of s, whole characters if it is UTF-8.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for i := limit; i > limit-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:limit]
}

// baseSubject is the base subject of a decoded subject (RFC 5256 2.1), and
// whether it had a reply or forward mark.
func baseSubject(s string) (base string, reply bool) {
	s = strings.Join(strings.Fields(cutText(s, maxSubject)), " ")
	for {
		for {
			t := strings.TrimRight(s, " ")
			if n := len(t) - len("(fwd)"); n >= 0 && strings.EqualFold(t[n:], "(fwd)") {
				t, reply = t[:n], true
			}
			if t == s {
				break
			}
			s = t
		}
		for {
			t, marked := cutLeader(s)
			reply = reply || marked
			if rest, ok := cutBlob(t); ok && rest != "" {
				t = rest
			}
			if t == s {
				break
			}
			s = t
		}
		if len(s) < 6 || !strings.EqualFold(s[:5], "[fwd:") || s[len(s)-1] != ']' {
			return s, reply
		}
		s, reply = s[5:len(s)-1], true
	}
}

// cutLeader removes one subj-leader: white space, or blobs with a refwd.
func cutLeader(s string) (rest string, marked bool) {
	s = strings.TrimLeft(s, " ")
	t := s
	for {
		if u, ok := cutRefwd(t); ok {
			return u, true
		}
		u, ok := cutBlob(t)
		if !ok {
			return s, false
		}
		t = u
	}
}

// cutRefwd removes re: or fw: or fwd:, with a blob before the colon.
func cutRefwd(s string) (string, bool) {
	n := 0
	switch {
	case len(s) >= 3 && strings.EqualFold(s[:3], "fwd"):
		n = 3
	case len(s) >= 2 && (strings.EqualFold(s[:2], "re") || strings.EqualFold(s[:2], "fw")):
		n = 2
	default:
		return s, false
	}
	t := strings.TrimLeft(s[n:], " ")
	if u, ok := cutBlob(t); ok {
		t = u
	}
	if strings.HasPrefix(t, ":") {
		return t[1:], true
	}
	return s, false
}

// cutBlob removes a leading [blob] and the white space after it.
func cutBlob(s string) (string, bool) {
	if !strings.HasPrefix(s, "[") {
		return s, false
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[end+2:], " "), true
}
