package dsn

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable makes text of others one line of valid UTF-8 that shows as it is:
// what controls a terminal, a line or the direction of writing becomes a
// question mark, line ends and tabs a blank.
func printable(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] >= ' ' && s[i] < 0x7f
	}
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r' || r == '\n' || r == '\t':
			return ' '
		case r == 0x200c || r == 0x200d: // joiners, which some scripts need
			return r
		case r == utf8.RuneError:
			return '?'
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs, unicode.Co):
			return '?'
		}
		return r
	}, s)
}

// ascii writes what is not US-ASCII as \x{HEX}, which readers know from
// RFC 6533.
func ascii(s string) string {
	if isASCII(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			b.WriteString(utf8Address(string(r), false))
		}
	}
	return b.String()
}

// cut gives at most most bytes of s, ending at a whole character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// replyLines are the lines of a reply, cleaned, at most maxReply bytes of it.
// shortened says that more was said.
func replyLines(reply string) (lines []string, shortened bool) {
	said := cut(reply, maxReply)
	said = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(said)
	for line := range strings.SplitSeq(said, "\n") {
		if line = strings.TrimSpace(printable(line)); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, len(reply) > maxReply
}

// wrap breaks text at blanks into lines of at most width characters, and longer
// words anywhere.
func wrap(text string, width int) (lines []string) {
	line, n := "", 0
	for _, word := range strings.Fields(text) {
		size := utf8.RuneCountInString(word)
		if n > 0 && n+1+size > width {
			lines, line, n = append(lines, line), "", 0
		}
		for ; size > width; size -= width {
			first := string([]rune(word)[:width])
			lines, word = append(lines, first), word[len(first):]
		}
		if n > 0 {
			line, n = line+" ", n+1
		}
		line, n = line+word, n+size
	}
	if n > 0 {
		lines = append(lines, line)
	}
	return lines
}
