package decode

import (
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7Reader decodes UTF-7 (RFC 2152). Broken sequences give U+FFFD or nothing.
type utf7Reader struct {
	r     io.Reader
	in    [1024]byte
	out   []byte
	shift bool   // between + and -
	fresh bool   // right behind the +
	acc   uint32 // bits of the next UTF-16 unit
	bits  uint
	high  rune // a surrogate that waits for its other half
	err   error
}

func (u *utf7Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		var n int
		n, u.err = u.r.Read(u.in[:])
		u.out = u.out[:0]
		for _, c := range u.in[:n] {
			u.take(c)
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *utf7Reader) take(c byte) {
	if !u.shift {
		if c == '+' {
			u.shift, u.fresh, u.acc, u.bits, u.high = true, true, 0, 0, 0
			return
		}
		u.out = append(u.out, c)
		return
	}
	fresh := u.fresh
	u.fresh = false
	if v := base64Value[c]; v <= 63 {
		u.acc = u.acc<<6 | uint32(v)
		if u.bits += 6; u.bits >= 16 {
			u.bits -= 16
			u.unit(rune(u.acc >> u.bits & 0xffff))
		}
		return
	}
	u.shift = false
	switch {
	case c == '-' && fresh:
		u.out = append(u.out, '+')
	case c != '-':
		u.out = append(u.out, c)
	}
}

func (u *utf7Reader) unit(c rune) {
	switch {
	case u.high != 0:
		u.out = utf8.AppendRune(u.out, utf16.DecodeRune(u.high, c))
		u.high = 0
	case c >= 0xd800 && c < 0xdc00:
		u.high = c
	default:
		u.out = utf8.AppendRune(u.out, c)
	}
}
