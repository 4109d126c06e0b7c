// Package names holds the two forms of mailbox names on the IMAP wire:
// modified UTF-7 (RFC 3501 5.1.3) and the patterns of LIST (RFC 9051 6.3.9).
//
// It owns their conversion and matching, in time linear in the input. It
// never knows which mailboxes exist and never judges whether a name may be
// used: storage/mailbox does.
package names

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// b64 is the alphabet of modified UTF-7: no padding, "," in place of "/". It
// is strict, so that every name has one encoding only.
var b64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// Decode gives the name that modified UTF-7 stands for. The error says where
// the encoding is wrong. Only the one proper encoding of a name is accepted,
// except that unencoded UTF-8 passes: clients send it although they should
// not, and it can mean nothing else.
func Decode(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("the mailbox name is neither modified UTF-7 nor UTF-8")
	}
	amp := strings.IndexByte(s, '&')
	if amp < 0 {
		return s, nil
	}
	var out strings.Builder
	shifted := -2 // where the last shift ended
	for i := 0; i < len(s); {
		if s[i] != '&' {
			out.WriteByte(s[i])
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '-')
		if end < 0 {
			return "", fmt.Errorf("the mailbox name is not modified UTF-7: %q has no closing \"-\" (write & as &-)", clip(s[i:]))
		}
		code := s[i+1 : i+end]
		if code == "" {
			out.WriteByte('&')
			i += 2
			continue
		}
		if shifted == i {
			return "", fmt.Errorf("the mailbox name is not modified UTF-7: %q starts where another shift ends", clip(s[i:]))
		}
		text, err := decodeShift(code)
		if err != nil {
			return "", fmt.Errorf("the mailbox name is not modified UTF-7: %q %v", clip(s[i:i+end+1]), err)
		}
		out.WriteString(text)
		i += end + 1
		shifted = i
	}
	return out.String(), nil
}

func decodeShift(code string) (string, error) {
	raw, err := b64.DecodeString(code)
	if err != nil {
		return "", fmt.Errorf("is not base64")
	}
	if len(raw)%2 != 0 {
		return "", fmt.Errorf("is not a whole number of UTF-16 units")
	}
	var b strings.Builder
	for i := 0; i < len(raw); i += 2 {
		r := rune(raw[i])<<8 | rune(raw[i+1])
		switch {
		case r >= 0x20 && r < 0x7f:
			return "", fmt.Errorf("encodes the character %q, which stands for itself", r)
		case utf16.IsSurrogate(r):
			if i+3 >= len(raw) {
				return "", fmt.Errorf("ends inside a surrogate pair")
			}
			r = utf16.DecodeRune(r, rune(raw[i+2])<<8|rune(raw[i+3]))
			if r == utf8.RuneError {
				return "", fmt.Errorf("holds half a surrogate pair")
			}
			i += 2
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

// Encode gives a name's modified UTF-7.
func Encode(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= 0x20 && s[i] < 0x7f && s[i] != '&'
	}
	if plain {
		return s
	}
	var out strings.Builder
	var units []byte
	flush := func() {
		if len(units) > 0 {
			out.WriteByte('&')
			out.WriteString(b64.EncodeToString(units))
			out.WriteByte('-')
			units = units[:0]
		}
	}
	for _, r := range s {
		if r >= 0x20 && r < 0x7f {
			flush()
			out.WriteRune(r)
			if r == '&' {
				out.WriteByte('-')
			}
			continue
		}
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			units = append(units, byte(hi>>8), byte(hi), byte(lo>>8), byte(lo))
		} else {
			units = append(units, byte(r>>8), byte(r))
		}
	}
	flush()
	return out.String()
}
