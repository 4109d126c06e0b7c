package dsn

import (
	"errors"
	"fmt"
	"strings"
)

// errXtext is in the chain of what DecodeXtext refuses.
var errXtext = errors.New("malformed xtext (RFC 3461 4)")

// EncodeXtext writes s as xtext (RFC 3461 4), for ENVID and the address of
// ORCPT: all but printable US-ASCII, and + and =, becomes +HH.
func EncodeXtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '+' && c != '=' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "+%02X", c)
		}
	}
	return b.String()
}

// DecodeXtext reads xtext of at most most bytes when decoded. Octets above 127
// may stand as they are, as RFC 6533 3 has them in UTF-8 addresses; what decodes
// to a control character is refused.
func DecodeXtext(s string, most int) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+2 >= len(s) || hexDigit(s[i+1]) < 0 || hexDigit(s[i+2]) < 0 {
				return "", errXtext
			}
			c = byte(hexDigit(s[i+1])<<4 | hexDigit(s[i+2]))
			i += 2
		} else if c == '=' || c == ' ' {
			return "", errXtext
		}
		if c < ' ' || c == 0x7f {
			return "", fmt.Errorf("%w: a control character", errXtext)
		}
		if b.Len() == most {
			return "", fmt.Errorf("%w: longer than %d bytes", errXtext, most)
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// hexDigit is the value of a hexadecimal digit, or -1. RFC 3461 has them in
// upper case; real mail has both.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
