// Package corpus reads real mail for tests and measurements. The mail is no
// part of the product: ROOKERY_CORPUS names an archive of it (tar.xz), or it
// lies beside the module; where there is none, tests skip and say so.
package corpus

import (
	"bytes"
	"errors"
	"fmt"
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

// ErrNone is that there is no corpus here.
var ErrNone = errors.New("no corpus: set ROOKERY_CORPUS to an archive of real mail (tar.xz)")

// Messages reads all messages, in the order of names, for a test.
func Messages(t testing.TB) []Message {
	t.Helper()
	all, err := Read(t.TempDir())
	if errors.Is(err, ErrNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Read is Messages outside of tests; the archive is unpacked into an empty
// directory of the caller's.
func Read(dir string) (all []Message, err error) {
	if err := unpack(dir); err != nil {
		return nil, err
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
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
	if err == nil && len(all) == 0 {
		err = ErrNone
	}
	return all, err
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

func unpack(dir string) error {
	path := archive()
	if path == "" {
		return ErrNone
	}
	if out, err := exec.Command("tar", "-xJf", path, "-C", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot unpack %s: %w: %s", path, err, out)
	}
	return nil
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
