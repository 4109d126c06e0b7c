package habits

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxColumns is how long a line of Go may be, in characters. Raw strings keep
// their lines.
const maxColumns = 140

// maxLines is how long a package of the product may be, without its tests.
const maxLines = 2500

// large are the packages that may be longer, to a bound of their own, and why.
var large = map[string]struct {
	lines int
	why   string
}{
	"directory/ldap":    {2750, "one package knows go-ldap: looking up, signing in and following share its servers"},
	"storage/system":    {2550, "one state machine, whose parts are declared in a file each"},
	"storage/command":   {2700, "one table of commands, each with its struct"},
	"protocols/imap":    {6000, "a session's commands share its selected mailbox, and a command is one method of the session"},
	"storage/mailbox":   {6150, "one state machine: its commands change the same rows in one batch"},
	"cluster/log":       {4200, "one file format, written, read and recovered under one lock"},
	"cluster/transport": {2900, "one port: what is dialled and accepted is counted and closed together"},
	"cluster/consensus": {2800, "the rules of one Raft group"},
}

// goFiles calls fn with every Go file of the repository.
func goFiles(t *testing.T, fn func(path string, text []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		fn(filepath.ToSlash(strings.TrimPrefix(path, "../../")), b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 500 {
		t.Fatalf("only %d files: the test looks at too little", n)
	}
}

// rawLines are the lines of a file that a raw string covers.
func rawLines(text []byte) map[int]bool {
	raw := map[int]bool{}
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return raw
		}
		if tok == token.STRING && lit[0] == '`' {
			first := file.Line(pos)
			for i := range strings.Count(lit, "\n") + 1 {
				raw[first+i] = true
			}
		}
	}
}

func TestLinesAreShort(t *testing.T) {
	goFiles(t, func(path string, text []byte) {
		var raw map[int]bool
		for i, line := range strings.Split(string(text), "\n") {
			if utf8.RuneCountInString(line) <= maxColumns {
				continue
			}
			if raw == nil {
				raw = rawLines(text)
			}
			if !raw[i+1] {
				t.Errorf("%s:%d: %d characters, at most %d", path, i+1, utf8.RuneCountInString(line), maxColumns)
			}
		}
	})
}

func TestPackagesAreSmall(t *testing.T) {
	lines := map[string]int{}
	goFiles(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path, "test/") {
			lines[filepath.ToSlash(filepath.Dir(path))] += strings.Count(string(text), "\n")
		}
	})
	for dir, n := range lines {
		most := maxLines
		if x, ok := large[dir]; ok {
			most = x.lines
		}
		if n > most {
			t.Errorf("%s has %d lines, at most %d: carve something out", dir, n, most)
		}
	}
	for dir := range large {
		if lines[dir] <= maxLines {
			t.Errorf("%s has %d lines: it is no exception any more", dir, lines[dir])
		}
	}
}

var shortKey = regexp.MustCompile(`"err",`)

// An error is logged under one key, so that one search finds them all.
func TestLogKeyOfErrors(t *testing.T) {
	goFiles(t, func(path string, text []byte) {
		for i, line := range strings.Split(string(text), "\n") {
			if shortKey.MatchString(line) && path != "test/habits/code_test.go" {
				t.Errorf("%s:%d: errors are logged under the key \"error\"", path, i+1)
			}
		}
	})
}
