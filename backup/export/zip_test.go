package export

import (
	"archive/zip"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// Every message is in the archive byte for byte, under a name that any system takes.
func TestZipIsReadBack(t *testing.T) {
	all, path := samples(), filepath.Join(t.TempDir(), "out.zip")
	written(t, Zip, path, all)
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files, folded := map[string]*zip.File{}, map[string]bool{}
	for _, f := range z.File {
		if !filepath.IsLocal(f.Name) || strings.ContainsAny(f.Name, "\\:*?\"<>|\x00\n") || folded[strings.ToLower(f.Name)] {
			t.Errorf("unsafe name %q", f.Name)
		}
		for part := range strings.SplitSeq(f.Name, "/") {
			if part == "" || len(part) > 255 || strings.Trim(part, " .") != part || strings.EqualFold(part, "nul") {
				t.Errorf("unsafe part %q of %q", part, f.Name)
			}
		}
		files[f.Name], folded[strings.ToLower(f.Name)] = f, true
	}
	if len(files) != len(all)+1 {
		t.Errorf("%d files of %d messages", len(files), len(all))
	}
	for i, name := range checkLines(t, content(t, files[linesName]), all) {
		f := files[name]
		if f == nil {
			t.Fatalf("%q is not in the archive", name)
		}
		if got := content(t, f); string(got) != all[i].text {
			t.Errorf("%q: %.200q", name, got)
		}
		if !f.Modified.Equal(all[i].Date) || f.Mode() != 0o600 {
			t.Errorf("%q: %v %v", name, f.Modified, f.Mode())
		}
	}
	if files["INBOX/000001.eml"] == nil || files["Projects/2026/000001.eml"] == nil || files["projects/2026~2/000001.eml"] == nil {
		t.Error("folders do not have the names that they could have")
	}
}

func content(t *testing.T, f *zip.File) []byte {
	t.Helper()
	if f == nil {
		t.Fatal("a file is missing")
	}
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever a folder is called, its path stays in the export and is its own.
func FuzzSafePath(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.Mailbox, "INBOX")
	}
	f.Add("x\xff", "x\xfe")
	f.Add("a%2Fb", "a/b")
	f.Add("CON.txt", "con%.txt")
	f.Fuzz(func(t *testing.T, a, b string) {
		p := safePath(a)
		if !filepath.IsLocal(p) || len(p) > maxPath || filepath.Clean(p) != p {
			t.Errorf("%q becomes %q", a, p)
		}
		for part := range strings.SplitSeq(p, "/") {
			if len(part) > maxPart+1 || strings.Trim(part, ". ") != part || hasFileSuffix(filepath.Ext(part)) ||
				strings.ContainsAny(part, "\x00\n\\") {
				t.Errorf("%q has the part %q", a, part)
			}
		}
		n := newNames(safePath)
		x, _ := n.path(a)
		y, known := n.path(b)
		if known != (a == b) || !known && strings.EqualFold(x, y) {
			t.Errorf("%q and %q share %q", a, b, x)
		}
	})
}
