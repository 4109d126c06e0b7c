package message

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// crlf turns a readable message into a canonical one.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// extractFrom reads a message in pieces of 64 KiB.
func extractFrom(r io.Reader) (*Extract, error) {
	s := NewScanner()
	defer s.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		s.Write(buf[:n])
		if err == io.EOF {
			return s.Finish(), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func extractString(t testing.TB, msg string) *Extract {
	t.Helper()
	e, err := extractFrom(strings.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkExtract(e, msg); err != nil {
		t.Fatalf("%v\nmessage: %.2000q", err, msg)
	}
	return e
}

// checkExtract holds an extract against what every one promises.
func checkExtract(e *Extract, msg string) error {
	if e.Size != int64(len(msg)) {
		return fmt.Errorf("size %d, message %d", e.Size, len(msg))
	}
	root := e.Structure
	if root == nil || root.Offset != 0 || root.BodyOffset+root.BodyLen != e.Size {
		return fmt.Errorf("root %+v does not cover the message", root)
	}
	if !strings.HasPrefix(msg, string(e.Header)) || (!e.HeaderTruncated && int64(len(e.Header)) != root.HeaderLen) {
		return fmt.Errorf("header of %d bytes is not the message's of %d", len(e.Header), root.HeaderLen)
	}
	if n := len([]rune(e.Preview)); n > previewChars {
		return fmt.Errorf("preview of %d characters", n)
	}
	if strings.ToValidUTF8(e.Preview, "") != e.Preview || strings.ToValidUTF8(e.BaseSubject, "") != e.BaseSubject {
		return fmt.Errorf("preview %q or subject %q is not UTF-8", e.Preview, e.BaseSubject)
	}
	parts := 0
	return checkPart(root, 0, e.Size, 0, &parts, msg)
}

func checkPart(p *Part, from, to int64, depth int, parts *int, msg string) error {
	*parts++
	if depth > MaxDepth+1 || *parts > 3*MaxParts {
		return fmt.Errorf("depth %d, parts %d", depth, *parts)
	}
	end := p.BodyOffset + p.BodyLen
	if p.Offset < from || p.HeaderLen < 0 || p.BodyOffset != p.Offset+p.HeaderLen || p.BodyLen < 0 || end > to {
		return fmt.Errorf("part %s/%s [%d+%d %d+%d] leaves [%d,%d]", p.Type, p.Subtype, p.Offset, p.HeaderLen, p.BodyOffset, p.BodyLen, from, to)
	}
	if p.Type == "" || p.Subtype == "" || p.Encoding == "" || p.Lines < 0 {
		return fmt.Errorf("part %+v lacks something", p)
	}
	if want := int64(strings.Count(msg[p.BodyOffset:end], "\n")); p.Lines != want {
		return fmt.Errorf("part %s/%s at %d has %d lines, not %d", p.Type, p.Subtype, p.Offset, p.Lines, want)
	}
	if (p.Type == "multipart") != (len(p.Parts) > 0) || p.isMessage() != (p.Message != nil) {
		return fmt.Errorf("part %s/%s has %d parts, message %v", p.Type, p.Subtype, len(p.Parts), p.Message != nil)
	}
	at := p.BodyOffset
	for _, c := range p.Parts {
		placeholder := len(p.Parts) == 1 && c.HeaderLen == 0 && c.BodyLen == 0
		if c.Offset < at || !placeholder && !strings.Contains(msg[at:c.Offset], "--"+boundaryOf(p)) {
			return fmt.Errorf("no delimiter %q before the part at %d", boundaryOf(p), c.Offset)
		}
		if err := checkPart(c, at, end, depth+1, parts, msg); err != nil {
			return err
		}
		at = c.BodyOffset + c.BodyLen
	}
	if p.Message != nil {
		s := p.Message.Structure
		if s == nil || s.Offset != p.BodyOffset {
			return fmt.Errorf("enclosed message at %d has structure %+v", p.BodyOffset, s)
		}
		return checkPart(s, p.BodyOffset, end, depth+1, parts, msg)
	}
	return nil
}

// sketch draws a structure: type, [header|body] of each part.
func sketch(p *Part, msg string) string {
	var b strings.Builder
	var draw func(p *Part, depth int)
	draw = func(p *Part, depth int) {
		fmt.Fprintf(&b, "%s%s/%s", strings.Repeat(" ", depth), p.Type, p.Subtype)
		if len(p.Parts) == 0 && p.Message == nil {
			fmt.Fprintf(&b, " %q", msg[p.BodyOffset:p.BodyOffset+p.BodyLen])
		}
		b.WriteByte('\n')
		for _, c := range p.Parts {
			draw(c, depth+1)
		}
		if p.Message != nil {
			draw(p.Message.Structure, depth+1)
		}
	}
	draw(p, 0)
	return b.String()
}

func TestStructure(t *testing.T) {
	tests := []struct{ name, msg, want string }{
		{"empty", "", "text/plain \"\"\n"},
		{"only header", "Subject: a\n", "text/plain \"\"\n"},
		{"header without line end", "Subject: a", "text/plain \"\"\n"},
		{"only body", "\nhello\n", "text/plain \"hello\\r\\n\"\n"},
		{"simple", "Subject: a\n\nhello\n", "text/plain \"hello\\r\\n\"\n"},
		{"mixed", "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\none\n--b\nContent-Type: " +
			"text/html\n\n<p>two\n\n--b--\nepilogue\n",
			"multipart/mixed\n text/plain \"one\"\n text/html \"<p>two\\r\\n\"\n"},
		{"unterminated", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n",
			"multipart/mixed\n text/plain \"one\"\n text/plain \"two\\r\\n\"\n"},
		{"no last line end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--",
			"multipart/mixed\n text/plain \"one\"\n"},
		{"opened at the end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b",
			"multipart/mixed\n text/plain \"one\"\n text/plain \"\"\n"},
		{"prefix of another", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; " +
			"boundary=bb\n\n--bb\n\none\n--bb\n\ntwo\n--bb--\n--b\n\nthree\n--b--\n",
			"multipart/mixed\n multipart/alternative\n  text/plain \"one\"\n  text/plain \"two\"\n text/plain \"three\"\n"},
		{"inner unterminated", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; " +
			"boundary=c\n\n--c\n\none\n--b\n\nthree\n--b--\n",
			"multipart/mixed\n multipart/alternative\n  text/plain \"one\"\n text/plain \"three\"\n"},
		{"same boundary twice", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; " +
			"boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
			"multipart/mixed\n multipart/alternative\n  text/plain \"one\"\n text/plain \"two\"\n"},
		{"boundary ends in dashes", "Content-Type: multipart/mixed; boundary=\"b--\"\n\n--b--\n\none\n--b----\n",
			"multipart/mixed\n text/plain \"one\"\n"},
		{"trailing space", "Content-Type: multipart/mixed; boundary=\"b \"\n\n--b \t\n\none\n--b-- \n",
			"multipart/mixed\n text/plain \"one\"\n"},
		{"empty multipart", "Content-Type: multipart/mixed; boundary=b\n\nnothing\n", "multipart/mixed\n text/plain \"\"\n"},
		{"only closed", "Content-Type: multipart/mixed; boundary=b\n\n--b--\n", "multipart/mixed\n text/plain \"\"\n"},
		{"no boundary", "Content-Type: multipart/mixed\n\n--b\n\nx\n", "multipart/mixed\n text/plain \"\"\n"},
		{"part without blank line", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\n--b--\n",
			"multipart/mixed\n text/html \"\"\n text/plain \"\"\n"},
		{"message", "Content-Type: message/rfc822\n\nSubject: in\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
			"message/rfc822\n multipart/mixed\n  text/plain \"one\"\n"},
		{"message without body", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n--b--\n",
			"multipart/mixed\n message/rfc822\n  text/plain \"\"\n"},
		{"message in base64", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogYQ==\n",
			"message/rfc822\n text/plain \"\"\n"},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: a\n\none\n--b\nContent-Type: text/plain\n\ntwo\n--b--\n",
			"multipart/digest\n message/rfc822\n  text/plain \"one\"\n text/plain \"two\"\n"},
		{"type alone", "Content-Type: text\n\na", "text/plain \"a\"\n"},
		{"bad type", "Content-Type: html\n\na", "text/plain \"a\"\n"},
		{"comment in type", "Content-Type: (c) text/html (d); charset=x\n\na", "text/html \"a\"\n"},
		{"from line and garbage", "From a Mon\nSubject: a\nno field here\nContent-Type: text/html\n\na", "text/html \"a\"\n"},
		{"dashes in text", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--\n-- b\n--bx\n-\n--b--\n",
			"multipart/mixed\n text/plain \"--\\r\\n-- b\\r\\n--bx\\r\\n-\"\n"},
		{"last delimiter with garbage", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; " +
			"boundary=\"b--x\"\n\n--b--x\n\none\n--b--y\n--b\n\ntwo",
			"multipart/mixed\n multipart/mixed\n  text/plain \"one\"\n"},
		{"enclosed header before a delimiter", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: " +
			"message/rfc822\n\nSubject: a\n\n--b\nContent-Type: message/rfc822\n\n--b--",
			"multipart/mixed\n message/rfc822\n  text/plain \"\"\n message/rfc822\n  text/plain \"\"\n"},
		{"delimiters after each other", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; " +
			"boundary=c\n\n--c\n--c\nContent-Type: message/rfc822\n--b\n--b--",
			"multipart/mixed\n multipart/mixed\n  text/plain \"\"\n  message/rfc822\n   text/plain \"\"\n text/plain \"\"\n"},
		{"delimiter in the header of an enclosed message",
			"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: a\n--b\n\nx\n--b--",
			"multipart/mixed\n message/rfc822\n  text/plain \"\"\n text/plain \"x\"\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, msg := range []string{crlf(tt.msg), tt.msg} {
				e := extractString(t, msg)
				want := tt.want
				if !strings.Contains(msg, "\r\n") {
					want = strings.ReplaceAll(want, `\r\n`, `\n`)
				}
				if diff := cmp.Diff(want, sketch(e.Structure, msg)); diff != "" {
					t.Error(diff)
				}
				inPieces(t, msg, e)
			}
		})
	}
}

// inPieces extracts the message in pieces of every small size and wants the
// same result.
func inPieces(t testing.TB, msg string, want *Extract) {
	t.Helper()
	for _, size := range []int{1, 2, 3, 5, 7, 16} {
		s := NewScanner()
		for rest := []byte(msg); len(rest) > 0; {
			n := min(size, len(rest))
			s.Write(bytes.Clone(rest[:n]))
			rest = rest[n:]
		}
		got := s.Finish()
		s.Close()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("in pieces of %d: %s\nmessage: %q", size, diff, msg)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Run("depth", func(t *testing.T) {
		var b strings.Builder
		for i := range 300 {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		extractString(t, b.String())
		extractString(t, strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 1000))
	})
	t.Run("parts", func(t *testing.T) {
		e := extractString(t, "Content-Type: multipart/mixed; boundary=b\r\n\r\n"+strings.Repeat("--b\r\n\r\nx\r\n", 3*MaxParts)+"--b--\r\n")
		if n := len(e.Structure.Parts); n < MaxParts-2 || n > MaxParts {
			t.Errorf("%d parts", n)
		}
	})
	t.Run("header", func(t *testing.T) {
		msg := "Subject: a\r\nX: " + strings.Repeat("x", 3*MaxHeader) + "\r\nContent-Type: text/html\r\n\r\nbody"
		e := extractString(t, msg)
		if !e.HeaderTruncated || len(e.Header) != MaxHeader || e.Envelope.Subject != "a" || e.Structure.BodyLen != 4 {
			t.Errorf("truncated %v, %d bytes, subject %q, body %d", e.HeaderTruncated, len(e.Header), e.Envelope.Subject, e.Structure.BodyLen)
		}
	})
	t.Run("addresses", func(t *testing.T) {
		e := extractString(t, "To: "+strings.Repeat("a@b,", 50_000)+"\r\nCc: c@d\r\n\r\n")
		if n := len(e.Envelope.To); n != MaxAddresses || len(e.Envelope.Cc) != 0 {
			t.Errorf("%d addresses", n)
		}
	})
}

func TestSlowHeaders(t *testing.T) {
	// Each of these once was a way to make a parser take time that grows with
	// the square of a header's length.
	for _, s := range []string{"=?a?q?", "=?a?q?x ", "<", "<@", "(", "\"", "a:", "[a]", "re:", "[fwd:", "\\", "a ", "=?u?b?a?= ",
		";", "a*0=b;", "&", "<a><b"} {
		long := strings.Repeat(s, MaxHeader/len(s)/4)
		extractString(t, "To: "+long+"\r\nSubject: "+long+"\r\nReferences: "+long+"\r\nContent-Type: text/html; "+long+"\r\n\r\n"+long)
	}
}
