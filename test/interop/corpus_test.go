package interop

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rookery/test/harness"
)

// canonical is the message as a server must keep it: CRLF line ends only, no
// NUL, a last line that ends.
func canonical(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\x00"), nil)
	b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		b = append(b, "\r\n"...)
	}
	return b
}

// corpus unpacks the shared corpus, or skips the test with the reason.
func corpus(t *testing.T) [][]byte {
	t.Helper()
	archive := harness.Shared(t, "corpus.tar.xz")
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xJf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Skipf("skipped: the corpus cannot be unpacked: %v %s", err, out)
	}
	var messages [][]byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !isMessage(path) {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && len(b) > 0 {
			messages = append(messages, canonical(b))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) < 4000 {
		t.Fatalf("only %d messages in the corpus", len(messages))
	}
	return messages
}

func isMessage(path string) bool {
	if strings.Contains(path, "/maildir/") || strings.Contains(path, "/spamassassin/") && strings.HasSuffix(path, ".txt") {
		return true
	}
	return slices.Contains([]string{".eml", ".msg", ".raw"}, filepath.Ext(path))
}

// generated is a small set that needs no corpus: odd shapes of MIME, dots at
// line starts, long lines, all bytes from 1 to 255, and sizes around the
// limits of chunks and of entries.
func generated() [][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	var set [][]byte
	add := func(format string, args ...any) { set = append(set, canonical(fmt.Appendf(nil, format, args...))) }
	add("Subject: plain\n\nhello\n")
	add("no header at all\n")
	add("\nbody only\n")
	add("Subject: header only\n")
	add("Subject: dots\n\n.\n..\n...\n.a\n\n.\n")
	add("Subject: =?utf-8?B?w6TDtsO8?=\nFrom: =?iso-8859-1?Q?J=FCrgen?= <j@example.net>, Group: a@b.c, d@e.f;\nTo: " +
		"undisclosed-recipients:;\n\nx\n")
	add("Subject: raw 8 bit \xe4\xf6\xfc\nFrom: \"quoted \\\" name\" <q@example.net>\n\n\xff\xfe\n")
	add("Subject: long line\n\n%s\n", strings.Repeat("x", 20000))
	add("Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n--b\nContent-Type: text/html\n\n<p>two\n--b--\npost\n")
	add("Content-Type: multipart/mixed; boundary=b\n\n--b\nnever closed\n")
	add("Content-Type: multipart/mixed\n\nno boundary\n")
	add("Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nempty\n----\n")
	add("Content-Type: message/rfc822\n\nSubject: inner\nFrom: in@example.net\n\ninner body\n")
	add("Content-Type: message/rfc822\n\n")
	add("Content-Type: ;;;===\nContent-Transfer-Encoding: nonsense\nContent-Disposition: attachment; filename*=utf-8''%%e2%%82%%ac.txt\n\nx\n")
	nested := "Content-Type: text/plain\n\ncore\n"
	for i := range 150 {
		nested = fmt.Sprintf("Content-Type: multipart/mixed; boundary=n%d\n\n--n%d\n%s\n--n%d--\n", i, i, nested, i)
	}
	add("%s", nested)
	parts := "Content-Type: multipart/mixed; boundary=p\n\n"
	for range 500 {
		parts += "--p\n\nx\n"
	}
	add("%s--p--\n", parts)
	var all []byte
	for i := range 256 {
		if i != 0 && i != '\r' && i != '\n' {
			all = append(all, byte(i))
		}
	}
	add("Subject: all bytes\n\n%s\n", all)
	for _, size := range []int{65535, 65536, 65537, 256 << 10, 262145, 1 << 20, 5 << 20} {
		var b bytes.Buffer
		fmt.Fprintf(&b, "Subject: %d bytes\n\n", size)
		for b.Len() < size {
			fmt.Fprintf(&b, "%x\n", rnd.Uint64())
		}
		b.Truncate(size)
		set = append(set, canonical(b.Bytes()))
	}
	return set
}
