// Package corpus reads real mail for tests and measurements. The mail is no
// part of the product: ROOKERY_CORPUS names an archive of it (tar.xz), or it
// lies beside the module; where there is none, tests skip and say so.
package corpus

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Message is one message with CRLF line ends.
type Message struct {
	// Name is the file's path in the archive.
	Name string
	Text []byte
}

// Plain reports whether it comes from the collection of ordinary mail, not from
// sets of broken or odd messages.
func (m Message) Plain() bool { return strings.Contains(m.Name, "spamassassin") }

// Messages reads all messages, in the order of names.
func Messages(t testing.TB) (all []Message) {
	t.Helper()
	dir := t.TempDir()
	unpack(t, dir)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !isMail(path) {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		all = append(all, Message{name, canonical(raw)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Skip("the corpus has no messages")
	}
	return all
}

// archive is the corpus's path, "" for none.
func archive() string {
	if path := os.Getenv("ROOKERY_CORPUS"); path != "" {
		return path
	}
	for dir, _ := os.Getwd(); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "..", "shared", "testbed", "corpus.tar.xz")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func unpack(t testing.TB, dir string) {
	t.Helper()
	path := archive()
	if path == "" {
		t.Skip("no corpus: set ROOKERY_CORPUS to an archive of real mail (tar.xz)")
	}
	if out, err := exec.Command("tar", "-xJf", path, "-C", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot unpack %s: %v: %s", path, err, out)
	}
}

func isMail(path string) bool {
	switch filepath.Ext(path) {
	case ".eml", ".msg", ".raw":
		return true
	case ".txt":
		return strings.Contains(path, "spamassassin")
	}
	dir := filepath.Base(filepath.Dir(path))
	return dir == "cur" || dir == "new"
}

// canonical makes every line end CRLF.
func canonical(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}
