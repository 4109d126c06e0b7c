package message

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"

	"rookery/test/corpus"
)

func TestCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	var n, parts, odd, blank int
	for _, m := range corpus.Messages(t) {
		path, msg := m.Name, m.Text
		e := extractString(t, string(msg))
		n++
		if e.Preview == "" {
			blank++
		}
		e.Structure.Walk(func(p *Part) bool { parts++; return true })
		odd += disagrees(t, path, e, msg)
		if why := unlikeStandard(e.Structure, msg); why != "" {
			t.Logf("%s: %s", path, why)
			odd++
		}
	}
	t.Logf("%d messages, %d parts, %d without preview, %d unlike the standard library", n, parts, blank, odd)
	if odd > n/50 {
		t.Errorf("%d of %d messages have a type the standard library reads otherwise", odd, n)
	}
}

// disagrees compares the root's media type with what package mime reads.
func disagrees(t *testing.T, path string, e *Extract, msg []byte) int {
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n ", " ", "\r\n\t", " ").Replace(string(e.Header)), "\r\n") {
		if len(line) < 13 || !strings.EqualFold(line[:13], "content-type:") {
			continue
		}
		typ, params, err := mime.ParseMediaType(line[13:])
		if err != nil {
			return 0
		}
		if got := e.Structure.Type + "/" + e.Structure.Subtype; got != typ {
			t.Logf("%s: %s, mime says %s", path, got, typ)
			return 1
		}
		if got := e.Structure.Param("boundary"); got != params["boundary"] {
			t.Logf("%s: boundary %q, mime says %q", path, got, params["boundary"])
			return 1
		}
		return 0
	}
	return 0
}

// unlikeStandard compares the parts of multiparts with what mime/multipart
// reads, as far as that reads at all; "" if they are alike.
func unlikeStandard(p *Part, msg []byte) string {
	if p.Message != nil {
		return unlikeStandard(p.Message.Structure, msg)
	}
	b := boundaryOf(p)
	if p.Type != "multipart" || b == "" {
		return ""
	}
	r := multipart.NewReader(bytes.NewReader(msg[p.BodyOffset:p.BodyOffset+p.BodyLen]), b)
	for i := 0; ; i++ {
		part, err := r.NextRawPart()
		if err == io.EOF && i == len(p.Parts) {
			return ""
		}
		if err != nil {
			return "" // it refuses what we mend
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return ""
		}
		if i >= len(p.Parts) {
			return fmt.Sprintf("more than %d parts of %q", len(p.Parts), b)
		}
		c := p.Parts[i]
		if got := msg[c.BodyOffset : c.BodyOffset+c.BodyLen]; !bytes.Equal(got, content) {
			return fmt.Sprintf("part %d of %q has %d bytes, not %d", i+1, b, len(got), len(content))
		}
		if why := unlikeStandard(c, msg); why != "" {
			return why
		}
	}
}
