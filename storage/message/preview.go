package message

import (
	"bytes"
	"io"
	"unicode"
	"unicode/utf8"
)

const (
	// previewChars is the length of a preview in characters.
	previewChars = 200
	// previewPlain and previewHTML bound what is kept of a text for it, in
	// bytes: HTML begins with style sheets.
	previewPlain = 4 << 10
	previewHTML  = 32 << 10
	// previewTries bounds the blank texts passed over.
	previewTries = 4
)

// previewer keeps the beginning of the first text part that is not blank.
type previewer struct {
	buf    []byte
	room   int // bytes still wanted of the open part
	tries  int
	result string
}

func (v *previewer) reset() previewer { return previewer{buf: v.buf[:0]} }

// begin decides whether the part that opens is one to show.
func (v *previewer) begin(p *Part) bool {
	if v.result != "" || v.tries >= previewTries || p.Disposition == "attachment" {
		return false
	}
	switch p.Subtype {
	case "plain", "enriched":
		v.room = previewPlain
	case "html":
		v.room = previewHTML
	default:
		return false
	}
	v.tries++
	v.buf = v.buf[:0]
	return true
}

func (v *previewer) write(p []byte) {
	if v.room > 0 {
		p = p[:min(len(p), v.room)]
		v.buf = append(v.buf, p...)
		v.room -= len(p)
	}
}

// end makes the preview of the part that closes.
func (v *previewer) end(p *Part, _ *Extract) {
	v.room = 0
	if v.result == "" {
		v.result = preview(PlainText(p, bytes.NewReader(v.buf)))
	}
}

func (v *previewer) text() string { return v.result }

// preview reads as much of r as a preview needs.
func preview(r io.Reader) string {
	out := make([]byte, 0, previewChars+previewChars/4)
	var buf [512]byte
	held, chars, space := 0, 0, false
	for {
		n, err := r.Read(buf[held:])
		text := buf[:held+n]
		for len(text) > 0 && (err != nil || utf8.FullRune(text)) {
			c, size := utf8.DecodeRune(text)
			text = text[size:]
			if blank(c) {
				space = chars > 0
				continue
			}
			if space {
				out, chars, space = append(out, ' '), chars+1, false
			}
			if chars >= previewChars {
				return string(bytes.TrimRight(out, " "))
			}
			out, chars = utf8.AppendRune(out, c), chars+1
		}
		held = copy(buf[:], text)
		if err != nil || chars >= previewChars {
			return string(out)
		}
	}
}

// blank is white space and what takes none: control characters and the
// invisible ones bulk mail pads its previews with.
func blank(c rune) bool {
	if c < 0x80 {
		return c <= ' ' || c == 0x7f
	}
	return unicode.IsSpace(c) || unicode.Is(unicode.Cf, c) || unicode.IsControl(c) || c == 0x34f || c == utf8.RuneError
}
