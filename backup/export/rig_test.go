package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery/storage/command"
)

// sample is a message and its bytes.
type sample struct {
	Message
	text string
}

var longName = strings.Repeat("é", 127) + "x" // 255 bytes

// samples are messages that are hard to write, folder by folder.
func samples() []sample {
	at := time.Date(2026, 11, 30, 23, 5, 9, 0, time.FixedZone("", 3600))
	seen := command.FlagSeen | command.FlagAnswered
	all := []sample{
		{Message{Mailbox: "INBOX", Flags: seen, Keywords: []string{"$Forwarded", "todo"}},
			"Subject: quoting\r\n\r\nFrom here\r\n>From there\r\n>>From afar\r\nFrom\r\n From x\r\nfrom x\r\n>x From y\r\n"},
		{Message{Mailbox: "INBOX"}, "Subject: bare LF\nX: y\n\nFrom the start\nof a line\rFrom here\n\r\r\n"},
		{Message{Mailbox: "INBOX", Flags: command.FlagsAll, Keywords: []string{"TODO"}},
			"Subject: gr\xfc\xdfe \x00\xff\r\n\r\n8-bit \x80\x00\r\nand no line end"},
		{Message{Mailbox: "../x", Flags: command.FlagDeleted}, "Subject: up\r\n\r\nFrom"},
		{Message{Mailbox: "a/../../etc", Keywords: []string{"k"}}, "Subject: up and up\r\n\r\n\r\n\r\n"},
		{Message{Mailbox: "NUL\x00\n/NUL"}, "Subject: nul\r\n\r\nx\r\n"},
		{Message{Mailbox: longName}, "Subject: long\r\n\r\nx\r\n"},
		{Message{Mailbox: longName + "y"}, "Subject: longer\r\n\r\nx\r\n"},
		{Message{Mailbox: "Projects/2026"}, "Subject: below\r\n\r\nx\r\n"},
		{Message{Mailbox: "projects/2026"}, "Subject: other case\r\n\r\nx\r\n"},
		{Message{Mailbox: "Projects.2026"}, "Subject: a dot\r\n\r\nx\r\n"},
		{Message{Mailbox: "A.mbox/000001.eml/B"}, "Subject: a folder like a file\r\n\r\nx\r\n"},
		{Message{Mailbox: "A"}, "Subject: a file\r\n\r\nx\r\n"},
		{Message{Mailbox: "messages.jsonl"}, "Subject: like the list\r\n\r\nx\r\n"},
		{Message{Mailbox: `..\x: "y"?`}, "Subject: Windows\r\n\r\nx\r\n"},
		{Message{Mailbox: "/"}, "Subject: nothing\r\n\r\nx\r\n"},
		{Message{Mailbox: strings.Repeat("deep/", 300)}, "Subject: deep\r\n\r\nx\r\n"},
		{Message{Mailbox: "INBOX", Keywords: []string{"late"}}, "Subject: again\r\n\r\n" + strings.Repeat("From me\r\n", 20000)},
		{Message{Mailbox: "INBOX"}, ""},
	}
	for i := range all {
		all[i].Size, all[i].Date = int64(len(all[i].text)), at.Add(time.Duration(i)*time.Hour)
	}
	return all
}

// written exports samples and returns the lines of messages.jsonl; read reads a file of
// the export.
func written(t *testing.T, format Format, path string, all []sample) {
	t.Helper()
	w, err := Create(format, path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	var bytes int64
	for _, s := range all {
		if err := w.Add(t.Context(), s.Message, strings.NewReader(s.text)); err != nil {
			t.Fatalf("%q: %v", s.Mailbox, err)
		}
		bytes += s.Size
	}
	if got := w.Totals(); got != (Totals{Messages: len(all), Bytes: bytes}) {
		t.Errorf("totals: %+v", got)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the export has its name before it is complete")
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	w.Discard()
	onlyOwner(t, filepath.Dir(path))
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// onlyOwner checks the modes of all that is below a directory.
func onlyOwner(t *testing.T, dir string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = fs.ModeDir | 0o700
		}
		if err == nil && info.Mode() != want {
			err = fmt.Errorf("%s has mode %v, not %v", path, info.Mode(), want)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// checkLines compares messages.jsonl with the samples and returns the file of each.
func checkLines(t *testing.T, list []byte, all []sample) (files []string) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(list))
	for _, s := range all {
		var l Line
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		if l.Mailbox != s.Mailbox || l.Size != s.Size || !l.Date.Equal(s.Date) ||
			fmt.Sprint(l.Flags) != fmt.Sprint(s.Flags.Names()) || fmt.Sprint(l.Keywords) != fmt.Sprint(s.Keywords) {
			t.Errorf("line %+v of %+v", l, s.Message)
		}
		files = append(files, l.File)
	}
	if dec.More() {
		t.Error("there are more lines than messages")
	}
	return files
}
