package export

import (
	"bufio"
	"bytes"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asText is a message as an mbox keeps it.
func asText(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// split is a reader of mboxrd: the From lines and the messages.
func split(box string) (froms, messages []string) {
	var text *strings.Builder
	end := func() {
		if text != nil {
			messages = append(messages, strings.TrimSuffix(text.String(), "\n"))
		}
		text = new(strings.Builder)
	}
	for line := range strings.Lines(box) {
		rest := strings.TrimLeft(line, ">")
		switch {
		case strings.HasPrefix(line, fromLine):
			end()
			froms = append(froms, line)
			continue
		case rest != line && strings.HasPrefix(rest, fromLine):
			line = line[1:]
		}
		text.WriteString(line)
	}
	end()
	return froms, messages
}

// Every message comes back from its folder's file as it was, but for the ends of lines.
func TestMboxIsReadBack(t *testing.T) {
	all, path := samples(), filepath.Join(t.TempDir(), "out")
	written(t, Mbox, path, all)
	list, err := os.ReadFile(filepath.Join(path, linesName))
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]int{}
	owner := map[string]string{}
	for i, name := range checkLines(t, list, all) {
		if !filepath.IsLocal(name) {
			t.Fatalf("%q leads out of the export", name)
		}
		if of, ok := owner[name]; ok && of != all[i].Mailbox {
			t.Errorf("%q is the file of %q and %q", name, of, all[i].Mailbox)
		}
		owner[name] = all[i].Mailbox
		b, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		froms, messages := split(string(b))
		k := read[name]
		if read[name]++; k >= len(messages) {
			t.Fatalf("%q has %d messages", name, len(messages))
		}
		if want := asText(all[i].text); messages[k] != want {
			t.Errorf("%q %d: %.200q, want %.200q", name, k, messages[k], want)
		}
		stamp := strings.TrimSpace(strings.TrimPrefix(froms[k], "From MAILER-DAEMON "))
		if at, err := time.Parse(time.ANSIC, stamp); err != nil || !at.Equal(all[i].Date) {
			t.Errorf("%q: %v %v", froms[k], at, err)
		}
	}
	for name, n := range read {
		b, _ := os.ReadFile(filepath.Join(path, name))
		if _, messages := split(string(b)); len(messages) != n {
			t.Errorf("%q has %d messages, not %d", name, len(messages), n)
		}
	}
	b, err := os.ReadFile(filepath.Join(path, "INBOX.mbox"))
	if err != nil {
		t.Fatal(err)
	}
	_, messages := split(string(b))
	m, err := mail.ReadMessage(strings.NewReader(messages[0]))
	if err != nil || m.Header.Get("Subject") != "quoting" {
		t.Fatalf("%v %v", m, err)
	}
	if body, err := io.ReadAll(m.Body); err != nil || !strings.HasPrefix(string(body), "From here\n>From there\n>>From afar\nFrom\n") {
		t.Errorf("%q %v", body, err)
	}
}

// No message splits in two or runs into the next, however its bytes are cut on the way.
func FuzzMboxQuoting(f *testing.F) {
	f.Add([]byte("From x\r\n>From y"), uint8(1))
	f.Add([]byte("a\rFrom b\nFrom\r \nFro\nm>>From "), uint8(3))
	f.Add([]byte("\r"), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, cut uint8) {
		var out bytes.Buffer
		for range 2 {
			w := bufio.NewWriter(&out)
			w.WriteString("From MAILER-DAEMON x\n")
			q := quoter{w: w, bol: true}
			for rest := text; len(rest) > 0; {
				n := min(int(cut)+1, len(rest))
				if _, err := q.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := q.end(); err != nil {
				t.Fatal(err)
			}
			w.Flush()
		}
		want := asText(string(text))
		if _, messages := split(out.String()); len(messages) != 2 || messages[0] != want || messages[1] != want {
			t.Errorf("%q is read as %q from %q", want, messages, out.String())
		}
	})
}
