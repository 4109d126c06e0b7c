package sevenbit

import (
	"bufio"
	"bytes"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
)

// No encoded line begins like a delimiter or with "From ", wherever the text is
// broken; none is longer than 76 characters, nor ends in white space.
func TestQuotedLines(t *testing.T) {
	for n := range 90 {
		for _, tail := range []string{"--b--", "--b", "From me", "-", "F", "a\t", "b ", "\r\n--b\r\nFrom x\r\n", "=\xff\x00"} {
			content := strings.Repeat("y", n) + tail
			var out bytes.Buffer
			w := bufio.NewWriter(&out)
			if err := encodeQuoted(w, bufio.NewReader(strings.NewReader(content)), true); err != nil {
				t.Fatal(err)
			}
			w.Flush()
			for line := range strings.SplitSeq(out.String(), "\r\n") {
				if len(line) > maxEncoded || strings.HasPrefix(line, "--") || strings.HasPrefix(line, "From ") ||
					strings.TrimRight(line, " \t") != line {
					t.Errorf("%q has the line %q", content, line)
				}
			}
			if back, err := io.ReadAll(quotedprintable.NewReader(&out)); err != nil || string(back) != content {
				t.Errorf("%q comes back as %q: %v", content, back, err)
			}
		}
	}
}

// Of several labels one is left, the right one.
func TestOneLabel(t *testing.T) {
	out, err := check(t, head+"Content-Transfer-Encoding: 8BIT\r\nContent-Transfer-Encoding: 7bit\r\n\r\na line of text with one ü\r\n")
	if err != nil || strings.Count(out, "Content-Transfer-Encoding") != 1 || !strings.Contains(out, "Encoding: quoted-printable\r\n") {
		t.Errorf("%v, %q", err, out)
	}
}
