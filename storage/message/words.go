package message

import (
	"bytes"
	"io"
	"rookery/storage/message/decode"
	"strconv"
	"strings"
)

// maxWord bounds the text of one encoded word, in bytes. RFC 2047 allows 75 in
// all; real mail has more.
const maxWord = 4096

// encodedWord is one =?charset?encoding?text?=.
type encodedWord struct {
	charset string
	content []byte // transfer-decoded
	length  int    // in the header
}

// DecodeHeader decodes the RFC 2047 words of a header field into UTF-8.
// Unknown charsets and broken words stay as they are; 8-bit text that is not
// UTF-8 is read as windows-1252.
func DecodeHeader(s string) string {
	if !strings.Contains(s, "=?") {
		return decode.ToUTF8(s)
	}
	var out strings.Builder
	for {
		start := strings.Index(s, "=?")
		if start < 0 {
			out.WriteString(decode.ToUTF8(s))
			return out.String()
		}
		w, ok := parseWord(s[start:])
		if !ok {
			out.WriteString(decode.ToUTF8(s[:start+2]))
			s = s[start+2:]
			continue
		}
		out.WriteString(decode.ToUTF8(s[:start]))
		s = s[start:]
		raw := w.length
		// Words of one charset are joined before it is decoded: many mailers
		// split characters. White space between words is not text.
		for {
			gap := len(s[raw:]) - len(strings.TrimLeft(s[raw:], " \t\r\n"))
			next, ok := parseWord(s[raw+gap:])
			if !ok || !strings.EqualFold(next.charset, w.charset) {
				break
			}
			w.content = append(w.content, next.content...)
			raw += gap + next.length
		}
		if text, ok := decode.InUTF8(w.charset, w.content); ok {
			out.WriteString(text)
		} else {
			out.WriteString(decode.ToUTF8(s[:raw]))
		}
		s = s[raw:]
		if t := strings.TrimLeft(s, " \t\r\n"); strings.HasPrefix(t, "=?") {
			if _, ok := parseWord(t); ok {
				s = t
			}
		}
	}
}

// parseWord reads the encoded word s begins with.
func parseWord(s string) (w encodedWord, ok bool) {
	if len(s) < 8 || s[0] != '=' || s[1] != '?' {
		return w, false
	}
	q := strings.IndexByte(s[2:min(len(s), 2+maxToken)], '?')
	if q <= 0 || len(s) < q+6 || s[q+4] != '?' {
		return w, false
	}
	text := q + 5
	end := strings.Index(s[text:min(len(s), text+maxWord)], "?=")
	if end < 0 {
		return w, false
	}
	w.charset, w.length = s[2:2+q], text+end+2
	switch content := s[text : text+end]; s[q+3] {
	case 'q', 'Q':
		w.content = decodeQ(content)
	case 'b', 'B':
		r, _ := decode.Transfer("base64", strings.NewReader(content))
		w.content, _ = io.ReadAll(r)
	default:
		return w, false
	}
	return w, true
}

// decodeQ decodes RFC 2047's Q encoding.
func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && decode.HexValue(s[i+1]) >= 0 && decode.HexValue(s[i+2]) >= 0:
			out = append(out, byte(decode.HexValue(s[i+1])<<4|decode.HexValue(s[i+2])))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

// param decodes a parameter: RFC 2231's extended and continued forms before
// the plain one, RFC 2047 words in that (against RFC 2231, and common).
func param(params [][2]string, name string) string {
	plain, found := "", false
	for _, kv := range params {
		switch {
		case kv[0] == name && !found:
			plain, found = kv[1], true
		case strings.HasPrefix(kv[0], name) && strings.HasPrefix(kv[0][len(name):], "*"):
			if s, ok := extendedParam(params, name); ok {
				return s
			}
		}
	}
	return DecodeHeader(plain)
}

// extendedParam joins name*, or name*0 and on, each plain or extended.
func extendedParam(params [][2]string, name string) (string, bool) {
	if v, ok := rawParam(params, name+"*"); ok {
		charset, text := cutCharset(v)
		return inCharset(charset, percentDecode(text))
	}
	var content []byte
	charset, n := "", 0
	for ; ; n++ {
		section := name + "*" + strconv.Itoa(n)
		if v, ok := rawParam(params, section+"*"); ok {
			if n == 0 {
				charset, v = cutCharset(v)
			}
			content = append(content, percentDecode(v)...)
		} else if v, ok := rawParam(params, section); ok {
			content = append(content, v...)
		} else {
			break
		}
	}
	if n == 0 {
		return "", false
	}
	return inCharset(charset, content)
}

func inCharset(charset string, content []byte) (string, bool) {
	if s, ok := decode.InUTF8(charset, content); ok {
		return s, true
	}
	return decode.ToUTF8(string(content)), true
}

func rawParam(params [][2]string, name string) (string, bool) {
	for _, kv := range params {
		if kv[0] == name {
			return kv[1], true
		}
	}
	return "", false
}

// cutCharset splits charset'language'text.
func cutCharset(v string) (charset, text string) {
	charset, rest, ok := strings.Cut(v, "'")
	if !ok {
		return "", v
	}
	if _, text, ok = strings.Cut(rest, "'"); !ok {
		return "", v
	}
	return charset, text
}

func percentDecode(s string) []byte {
	if strings.IndexByte(s, '%') < 0 {
		return []byte(s)
	}
	var out bytes.Buffer
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && decode.HexValue(s[i+1]) >= 0 && decode.HexValue(s[i+2]) >= 0 {
			out.WriteByte(byte(decode.HexValue(s[i+1])<<4 | decode.HexValue(s[i+2])))
			i += 2
			continue
		}
		out.WriteByte(s[i])
	}
	return out.Bytes()
}
