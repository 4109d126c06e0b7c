package export

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rookery"
)

// Messages that come piece by piece, small ones and ones that do not stay in memory, are
// what was written; what is dropped leaves nothing, and what is missing is listed.
func TestPieces(t *testing.T) {
	for _, format := range formats {
		dir := t.TempDir()
		path := filepath.Join(dir, "out")
		w, err := Create(format, path)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Discard()
		var texts []string
		for _, n := range []int{0, 10, keptInMemory, keptInMemory + 1, 3 * keptInMemory} {
			text := strings.Repeat("0123456789abcdef", n/16+1)[:n]
			texts = append(texts, text)
			for _, keep := range []bool{false, true} {
				p := w.Begin(Message{Mailbox: "INBOX", Email: "Mabc", Size: int64(n)})
				for rest := text; rest != ""; {
					k := min(len(rest), 70_000)
					if _, err := p.Write([]byte(rest[:k])); err != nil {
						t.Fatal(err)
					}
					rest = rest[k:]
				}
				if p.Drop(); keep {
					p = w.Begin(p.Message())
					p.Write([]byte(text))
					if err := p.Add(t.Context()); err != nil {
						t.Fatalf("%s, %d bytes: %v", format, n, err)
					}
				}
			}
		}
		if err := w.Missing(Message{Mailbox: "Sent", Email: "Mdef", Size: 7}, "its pack is lost"); err != nil {
			t.Fatal(err)
		}
		if got := w.Totals(); got.Messages != len(texts) || got.Missing != 1 {
			t.Errorf("%s: %+v", format, got)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		onlyOwner(t, dir)
		if format != Maildir {
			continue
		}
		list, err := os.ReadFile(filepath.Join(path, "messages.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(list))
		for _, text := range texts {
			var l Line
			if err := dec.Decode(&l); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(filepath.Join(path, l.File)); err != nil || string(b) != text || l.Email != "Mabc" || l.Error != "" {
				t.Errorf("%+v: %d bytes, %v", l, len(b), err)
			}
		}
		var l Line
		if err := dec.Decode(&l); err != nil || l.File != "" || l.Email != "Mdef" || l.Mailbox != "Sent" || l.Error != "its pack is lost" {
			t.Errorf("%+v %v", l, err)
		}
	}
}

// A message that is not of its size ends the export, and so does a disk that does
// not take what does not stay in memory.
func TestPiecesThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(Zip, filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	p := w.Begin(Message{Mailbox: "INBOX", Size: 5})
	p.Write([]byte("1234"))
	if err := p.Add(t.Context()); !rookery.Is(err, rookery.KindDamaged) || w.Commit() == nil {
		t.Errorf("a message that is too short: %v", err)
	}
	if w.Missing(Message{}, "x") == nil {
		t.Error("an export goes on that has failed")
	}
	w.Discard()
	if w, err = Create(Zip, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	if err := os.RemoveAll(w.target.stage); err != nil {
		t.Fatal(err)
	}
	p = w.Begin(Message{Mailbox: "INBOX", Size: 5})
	if _, err := p.Write(make([]byte, keptInMemory+1)); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a file that cannot be made: %v", err)
	}
	p.Drop()
}
