package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery/storage/command"
)

// onDisk names the constants that stand in files, by package: magics, versions,
// kinds of records, tables, numbers of fields with a fixed place. A constant
// that is added under one of these names is found by itself. listed is the
// package's name in the lists of testdata, where it had another one when the
// oldest of them was made.
var onDisk = []struct{ dir, listed, names string }{
	{"cluster/log", "", `formatVersion|pageSize|(frame|stable|trailer)Magic|(frame|record|stable)Head|trailerSize|kind[A-Z]\w*`},
	{"storage/state", "", `table\w+|FirstTable|prefixLen|(envelope|position)Version|imageMagic|status\w+`},
	{"storage/mailbox", "", `table\w+|countersSize|rowFixed|Pack(Live|Dead|Deleted)`},
	{"storage/holds", "storage/mailbox", `table\w+`},
	{"storage/queue", "", `table\w+`},
	{"storage/trace", "", `table\w+`},
	{"storage/system", "", `table\w+`},
	{"storage/pack", "", `formatVersion|(head|tail)Magic|trailerLen`},
	{"storage/body", "", `LayoutVersion|sealFormat|codec(Raw|Zstd)|flag\w+|part(Leaf|Message|Multipart)|MaxInlineExtract|Generic`},
	{"storage/keys", "storage/body", `wrapFormat|Token[A-Z]\w*|WrappedMessageKeyLen`},
	{"storage/message", "storage/body", `ExtractVersion`},
	{"storage/command", "", `Flag[A-Z]\w*|Store[A-Z]\w*|newest`},
}

// TestFormats fails when something on disk has changed since the newest
// directory of testdata was made.
func TestFormats(t *testing.T) {
	if *makeName != "" {
		t.Skip("skipped: a directory is being made")
	}
	paths, err := filepath.Glob("testdata/*.formats.json") // sorted, so by date
	if err != nil || len(paths) == 0 {
		t.Fatalf("testdata has no list of formats: %v", err)
	}
	newest := paths[len(paths)-1]
	b, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	var made map[string]string
	if err := json.Unmarshal(b, &made); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, formats(t)); diff != "" {
		t.Errorf("an on-disk format has changed since %s (-then +now):\n%s\nIs what earlier binaries wrote still read? "+
			"Then keep a directory of the new format: make format NAME=YYYY-MM, under the newest name again only if that was never "+
			"released.", newest, diff)
	}
}

// formats are the constants of onDisk as the source has them, and the version
// that brought each command.
func formats(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, p := range onDisk {
		match := regexp.MustCompile("^(" + p.names + ")$")
		listed := p.dir
		if p.listed != "" {
			listed = p.listed
		}
		found := 0
		for name, value := range constants(t, p.dir) {
			if match.MatchString(name) {
				all[listed+"."+name] = value
				found++
			}
		}
		if found <= strings.Count(p.names, "|") {
			t.Errorf("%s has only %d constants like %s: the list of formats is out of date", p.dir, found, p.names)
		}
	}
	for _, r := range command.Rows() {
		all[fmt.Sprintf("storage/command: type %d", r.Type)] = fmt.Sprintf("%s since version %d", r.Name, r.Since)
	}
	return all
}

// constants evaluates a package's constants. They depend on no import, so none
// is read, and the errors that follow from that are of no interest.
func constants(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	conf := types.Config{IgnoreFuncBodies: true, Importer: noImports{}, Error: func(error) {}}
	pkg, _ := conf.Check(dir, set, files, nil)
	out := map[string]string{}
	for _, name := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok && c.Val().Kind() != constant.Unknown {
			out[name] = c.Val().ExactString()
		}
	}
	return out
}

type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	return nil, errors.New("not read")
}
