package smtp

import (
	"bytes"
	"strings"
	"testing"
)

// naive is dots octet by octet over the whole input: lines are what CR LF ends.
func naive(in []byte) (text, rest []byte, ended bool) {
	begin := 0
	for i := range in {
		if i+1 < len(in) && in[i] == '\r' && in[i+1] == '\n' {
			line := in[begin : i+2]
			begin = i + 2
			if string(line) == ".\r\n" {
				return text, in[begin:], true
			}
			text = append(text, bytes.TrimPrefix(line, []byte("."))...)
		}
	}
	return append(text, bytes.TrimPrefix(in[begin:], []byte("."))...), nil, false
}

// unstuff feeds dots pieces of n bytes.
func unstuff(in []byte, n int) (text, rest []byte, ended bool) {
	var d dots
	for len(in) > 0 {
		p := in[:min(n, len(in))]
		in = in[len(p):]
		for len(p) > 0 && !d.ended() {
			var piece []byte
			piece, p = d.next(p)
			text = append(text, piece...)
		}
		if d.ended() {
			return text, append(append([]byte(nil), p...), in...), true
		}
	}
	if d.at == atDotCR {
		text = append(text, '\r')
	}
	return text, nil, false
}

func checkDots(t *testing.T, in []byte) {
	t.Helper()
	text, rest, ended := naive(in)
	for _, n := range []int{1, 2, 3, 5, 64, 1 << 20} {
		gotText, gotRest, gotEnded := unstuff(in, n)
		if ended != gotEnded || !bytes.Equal(text, gotText) || !bytes.Equal(rest, gotRest) {
			t.Fatalf("%q in pieces of %d: %q %q %v, want %q %q %v", in, n, gotText, gotRest, gotEnded, text, rest, ended)
		}
	}
}

// TestDots tries every short text of the four kinds of octets that matter.
func TestDots(t *testing.T) {
	for length := range 9 {
		in := make([]byte, length)
		for code := range 1 << (2 * length) {
			for i := range in {
				in[i] = "\r\n.x"[code>>(2*i)&3]
			}
			checkDots(t, in)
		}
	}
}

func FuzzDots(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\nQUIT", "\r\r\n.\r\nb", ".\rX\r\n.\r\n", "..\r\n...\r\n.\r\r\n.\r\n", ".\n.\r\n\n.\r\n\r\n.\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(checkDots)
}

func BenchmarkDots(b *testing.B) {
	in := []byte(strings.Repeat("some words and more words in a line of mail 0123 0123 0123 0123 0123 012345\r\n", 840))
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		var d dots
		for p := in; len(p) > 0; {
			_, p = d.next(p)
		}
	}
}
