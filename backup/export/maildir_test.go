package export

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rookery/storage/command"
)

// Every message is in its folder byte for byte, with its flags, keywords and time.
func TestMaildirIsReadBack(t *testing.T) {
	all, path := samples(), filepath.Join(t.TempDir(), "out")
	written(t, Maildir, path, all)
	list, err := os.ReadFile(filepath.Join(path, linesName))
	if err != nil {
		t.Fatal(err)
	}
	owner := map[string]string{}
	for i, name := range checkLines(t, list, all) {
		if !filepath.IsLocal(name) {
			t.Fatalf("%q leads out of the export", name)
		}
		b, err := os.ReadFile(filepath.Join(path, name))
		if err != nil || string(b) != all[i].text {
			t.Errorf("%q: %.200q %v", name, b, err)
		}
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil || !info.ModTime().Equal(all[i].Date) {
			t.Errorf("%q: %v %v", name, info.ModTime(), err)
		}
		folder := filepath.Dir(filepath.Dir(name))
		if of, ok := owner[folder]; ok && of != all[i].Mailbox {
			t.Errorf("%q is the directory of %q and %q", folder, of, all[i].Mailbox)
		}
		owner[folder] = all[i].Mailbox
		if strings.Contains(folder, "/") || folder != "." && !strings.HasPrefix(folder, ".") {
			t.Errorf("%q is not a directory of Maildir++", folder)
		}
	}
	for file, want := range map[string]string{
		"dovecot-keywords":                      "0 $Forwarded\n1 todo\n2 late\n",
		`.a.\2e\2e.\2e\2e.etc/dovecot-keywords`: "0 k\n",
		".Projects.2026/maildirfolder":          "",
	} {
		if b, err := os.ReadFile(filepath.Join(path, file)); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", file, b, err)
		}
	}
	for pattern, n := range map[string]int{"cur/*:2,RSab": 1, "cur/*:2,DFRSTb": 1, "cur/*:2,c": 1, "cur/*:2,": 2, "new/*": 0, "tmp/*": 0,
		`.\2e\2e.x/cur/*:2,T`: 1} {
		pattern = strings.ReplaceAll(pattern, `\`, `\\`)
		if got, err := filepath.Glob(filepath.Join(path, pattern)); err != nil || len(got) != n {
			t.Errorf("%s: %q %v", pattern, got, err)
		}
	}
}

// A folder has 26 letters; what has none is in the list.
func TestMaildirRunsOutOfLetters(t *testing.T) {
	var all []sample
	for i := range 30 {
		all = append(all, sample{Message{Mailbox: "Many", Keywords: []string{fmt.Sprintf("k%d", i)}}, ""})
	}
	path := filepath.Join(t.TempDir(), "out")
	written(t, Maildir, path, all)
	list, err := os.ReadFile(filepath.Join(path, linesName))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range checkLines(t, list, all) {
		want := ":2,"
		if i < maxLetters {
			want += string(rune('a' + i))
		}
		if !strings.HasSuffix(name, want) {
			t.Errorf("%q does not end with %q", name, want)
		}
	}
}

func TestMaildirNames(t *testing.T) {
	for folder, want := range map[string]string{
		"Sent":           ".Sent",
		"R&D/Entwürfe":   ".R&-D.Entw&APw-rfe",
		"日本語":            ".&ZeVnLIqe-",
		"\U0001F600":     ".&2D3eAA-",
		"a\x00b":         ".a&AAA-b",
		"..":             `.\2e\2e`,
		`a\b`:            `.a\5cb`,
		"":               "._",
		"a//b":           ".a._.b",
		"bad \xff UTF-8": ".bad &,,0- UTF-8",
	} {
		if got := maildirName(folder); got != want {
			t.Errorf("%q: %q, want %q", folder, got, want)
		}
	}
	for _, long := range []string{strings.Repeat(".", 1000), strings.Repeat("ü", 1000), strings.Repeat("a", 201)} {
		if got := maildirName(long); len(got) > maxPart || got == maildirName(long+"x") {
			t.Errorf("%.20q: %q", long, got)
		}
	}
	if got := letters(command.FlagsAll); got != "DFRST" {
		t.Error(got)
	}
}
