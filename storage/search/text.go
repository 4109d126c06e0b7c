package search

import (
	"bytes"
	"context"
	"strings"

	"golang.org/x/text/unicode/norm"

	"rookery/storage/message"
)

// needle is a string to look for, folded as the text is.
type needle string

func newNeedle(s string) needle { return needle(foldText(s)) }

// foldText is the form in which texts compare: NFC, lower case.
func foldText(s string) string {
	if !ascii(s) {
		s = norm.NFC.String(s)
	}
	return strings.ToLower(s)
}

func ascii[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// fieldText is the text of header fields made ready for any number of needles:
// each value as it stands and decoded, folded, with a NUL behind.
type fieldText struct {
	there bool // there is such a field
	text  strings.Builder
}

func (f *fieldText) add(value []byte) {
	f.there = true
	text := unfold(value)
	raw := foldText(text)
	f.text.WriteString(raw)
	f.text.WriteByte(0)
	if decoded := foldText(message.DecodeHeader(text)); decoded != raw {
		f.text.WriteString(decoded)
		f.text.WriteByte(0)
	}
}

// has looks for the needle in the values. An empty one asks whether there is
// such a field.
func (f *fieldText) has(n needle) bool {
	return f.there && strings.IndexByte(string(n), 0) < 0 && strings.Contains(f.text.String(), string(n))
}

// wholeHeader is the text of all fields with their names.
func wholeHeader(ctx context.Context, block []byte) (*fieldText, error) {
	var f fieldText
	err := message.EachField(ctx, block, func(_, field, _ []byte) { f.add(field) })
	return &f, err
}

// unfold joins a field's lines (RFC 5322 2.2.3).
func unfold(b []byte) string {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = bytes.TrimSuffix(b[:i], []byte("\r")), b[i+1:]
		} else {
			b = nil
		}
		out = append(out, line...)
	}
	return strings.TrimSpace(string(out))
}
