package sevenbit

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"rookery/storage/message"
)

// change is what becomes of a header beside its own text.
type change struct {
	label     string    // the Content-Transfer-Encoding; "" where it stays
	isMessage bool      // the header is a message's
	body      io.Reader // set where the body is encoded
}

// header writes a part's header.
func (c *converter) header(p *message.Part, ch change) error {
	if p.HeaderLen > MaxHeader {
		return cannot(ErrHeader, "a header is larger than %d bytes", MaxHeader)
	}
	block, err := read(c.section(p.Offset, p.BodyOffset), MaxHeader)
	if err != nil {
		return err
	}
	fields, blank := splitHeader(block)
	var out []byte
	labelled := ch.label == ""
	for _, f := range fields {
		if f.name == "content-transfer-encoding" && ch.label != "" {
			if !labelled {
				out = append(out, "Content-Transfer-Encoding: "+ch.label+"\r\n"...)
			}
			labelled = true // the first of several counts
			continue
		}
		text, err := f.inASCII(p)
		if err != nil {
			return err
		}
		out = append(out, text...)
	}
	if ch.isMessage && ch.body != nil {
		more, err := mimeFields(fields, ch.body)
		if err != nil {
			return err
		}
		out = append(out, more...)
	}
	if !labelled {
		out = append(out, "Content-Transfer-Encoding: "+ch.label+"\r\n"...)
	}
	if c.dry {
		return nil
	}
	_, err = c.out.Write(append(out, blank...))
	return err
}

// mimeFields are those that a message without them needs when its body is
// encoded.
func mimeFields(fields []field, body io.Reader) (string, error) {
	has := func(name string) bool {
		return slices.ContainsFunc(fields, func(f field) bool { return f.name == name })
	}
	more := ""
	if !has("mime-version") {
		more += "MIME-Version: 1.0\r\n"
	}
	if has("content-type") {
		return more, nil
	}
	valid, err := isUTF8(body)
	if err != nil {
		return "", err
	}
	if valid {
		return more + "Content-Type: text/plain; charset=utf-8\r\n", nil
	}
	return more + "Content-Type: text/plain; charset=unknown-8bit\r\n", nil // RFC 1428
}

// isUTF8 reads text to its end.
func isUTF8(r io.Reader) (bool, error) {
	buf := make([]byte, 32<<10)
	kept := 0
	for {
		n, err := r.Read(buf[kept:])
		b := buf[:kept+n]
		for len(b) > 0 {
			c, size := utf8.DecodeRune(b)
			if c == utf8.RuneError && size <= 1 {
				if err == nil && !utf8.FullRune(b) {
					break
				}
				return false, nil
			}
			b = b[size:]
		}
		kept = copy(buf, b)
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// field is one header field with its continuation lines and line ends, or lines
// that are none (without a name).
type field struct {
	name string // in lower case
	text []byte
}

func (f field) value() string {
	_, value, _ := bytes.Cut(f.text, []byte(":"))
	return string(bytes.TrimSuffix(value, []byte("\r\n")))
}

// splitHeader cuts a header block into fields, and the blank line that ends it.
func splitHeader(block []byte) (fields []field, blank []byte) {
	for len(block) > 0 {
		if string(block) == "\r\n" || string(block) == "\n" {
			return fields, block
		}
		end := bytes.IndexByte(block, '\n') + 1
		if end == 0 {
			end = len(block)
		}
		line := block[:end]
		if n := len(fields); n > 0 && (line[0] == ' ' || line[0] == '\t') {
			last := &fields[n-1]
			last.text = last.text[:len(last.text)+len(line)]
		} else {
			name, _, colon := bytes.Cut(line, []byte(":"))
			if !colon {
				name = nil
			}
			fields = append(fields, field{strings.ToLower(string(bytes.TrimRight(name, " \t"))), line[:len(line):len(block)]})
		}
		block = block[end:]
	}
	return fields, nil
}
