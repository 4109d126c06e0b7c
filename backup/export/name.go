package export

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPath is how long a folder's path below the export may get, in bytes: Linux takes
// 4,096 with all that is above it.
const maxPath = 1000

// maxPart is how long one part of a path may get, in bytes: file systems take 255, and
// a suffix follows.
const maxPart = 200

// names gives each folder a path of its own.
type names struct {
	of    map[string]string
	taken map[string]bool // by lower case: some file systems make no difference
	make  func(folder string) string
}

func newNames(of func(folder string) string) *names {
	return &names{of: map[string]string{}, taken: map[string]bool{}, make: of}
}

// path is the folder's, the same each time. known says that it was given before.
func (n *names) path(folder string) (path string, known bool) {
	if path, known = n.of[folder]; known {
		return path, true
	}
	path = n.make(folder)
	for k := 2; n.taken[strings.ToLower(path)]; k++ {
		path = fmt.Sprintf("%s~%d", n.make(folder), k)
	}
	n.of[folder] = path
	n.taken[strings.ToLower(path)] = true
	return path, false
}

// safePath is a folder's name as a path below the export. What a file system or a
// shell might take for something else is written as % and two hex digits, as in a URL.
func safePath(folder string) string {
	parts := strings.Split(folder, "/")
	for i, p := range parts {
		parts[i] = safePart(p)
	}
	path := strings.Join(parts, "/")
	if len(path) > maxPath {
		return short(strings.ReplaceAll(path, "/", "%2F"), folder)
	}
	return path
}

// safePart is one level of it: never empty, "." or "..", and never a name that a file
// of the export could have.
func safePart(part string) string {
	var b strings.Builder
	for i, r := range part {
		_, n := utf8.DecodeRuneInString(part[i:])
		last := i+n == len(part)
		switch {
		case r == utf8.RuneError && n <= 1, !unicode.IsPrint(r), strings.ContainsRune(`%\:*?"<>|`, r),
			r == ' ' && (i == 0 || last), r == '.' && (i == 0 || last || hasFileSuffix(part[i:])):
			for _, c := range []byte(part[i : i+n]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		default:
			b.WriteString(part[i : i+n])
		}
	}
	if b.Len() == 0 {
		return "%"
	}
	return reserved(short(b.String(), part))
}

func hasFileSuffix(s string) bool {
	if len(s) > len(".jsonl") {
		return false
	}
	s = strings.ToLower(s)
	return s == ".eml" || s == ".mbox" || s == ".jsonl"
}

// reserved marks names that are devices on Windows, whatever their suffix.
func reserved(name string) string {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch {
	case stem == "CON", stem == "PRN", stem == "AUX", stem == "NUL",
		len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '0' && stem[3] <= '9':
		return name + "%"
	}
	return name
}

// short cuts what is too long and ends it with a digest of the whole name.
func short(name, whole string) string {
	if len(name) <= maxPart {
		return name
	}
	cut := maxPart - 13
	for !utf8.RuneStart(name[cut]) || strings.Contains(name[cut-2:cut], "%") { // not within a character or an escape
		cut--
	}
	return name[:cut] + digest(whole)
}

func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "~" + hex.EncodeToString(sum[:6])
}
