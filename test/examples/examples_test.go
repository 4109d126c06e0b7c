package examples

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var block = regexp.MustCompile("(?s)```go (file|row)=(\\S+)(?: after=(\"[^\n]*\"))?\n(.*?)```\n")

// The blocks of docs/adding-a-command.md are built with the tree and their test
// passes: two files, and a row in each of two lists.
func TestAddingACommand(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs/adding-a-command.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), map[string]string{}
	rows := 0
	for i, m := range block.FindAllStringSubmatch(string(doc), -1) {
		path, text := filepath.Join(root, m[2]), m[4]
		if m[1] == "row" {
			rows++
			text = withRow(t, path, m[3], text)
		} else if _, err := os.Stat(path); err == nil {
			t.Fatalf("%s exists: choose another example", m[2])
		}
		replace[path] = filepath.Join(dir, strconv.Itoa(i)+".go")
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if rows != 2 || len(replace) != 5 {
		t.Fatalf("%d rows, %d files with those: the page promises two rows, two files and a test", rows, len(replace))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(at, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-overlay", at, "-run", "^(TestNote|TestEveryTableIsDeclared)$", "-v", "rookery/storage/mailbox")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestNote") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// withRow is a file with one line more, behind the one with an anchor.
func withRow(t *testing.T, path, anchor, row string) string {
	t.Helper()
	anchor, err := strconv.Unquote(anchor)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, behind, found := strings.Cut(string(text), anchor+"\n")
	if !found || strings.Count(row, "\n") != 1 {
		t.Fatalf("%s has no line with %q, or the block is not one row", path, anchor)
	}
	return before + anchor + "\n" + row + behind
}
