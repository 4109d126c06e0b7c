package export

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"rookery/storage/command"
)

// maxLetters is how many keywords of a folder a file's name can tell.
const maxLetters = 26

// maildir writes a directory for each folder.
type maildir struct {
	target  *target
	names   *names
	buf     *bufio.Writer
	count   int
	letters map[string][]string // keywords by folder, in the order of their first use
}

func newMaildir(t *target) (form, error) {
	x := &maildir{target: t, names: newNames(maildirName), buf: bufio.NewWriterSize(nil, 64<<10), letters: map[string][]string{}}
	return x, x.begin("") // INBOX is there without any message
}

// begin makes the directories of a folder.
func (x *maildir) begin(dir string) error {
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(x.target.within(dir+"/"+sub), 0o700); err != nil {
			return err
		}
	}
	if dir == "" {
		return nil
	}
	f, err := x.target.create(dir + "/maildirfolder") // the mark of Maildir++ for what is no account
	if err != nil {
		return err
	}
	return f.Close()
}

func (x *maildir) add(m *Message, r io.Reader) (string, error) {
	dir := ""
	if !strings.EqualFold(m.Mailbox, "INBOX") {
		path, known := x.names.path(m.Mailbox)
		if dir = path; !known {
			if err := x.begin(dir); err != nil {
				return "", err
			}
		}
		dir += "/"
	}
	x.count++
	name := fmt.Sprintf("%scur/%d.%08d.rookery,S=%d:2,%s%s", dir, m.Date.Unix(), x.count, m.Size, letters(m.Flags), x.words(dir, m.Keywords))
	return name, x.write(m, name, r)
}

func (x *maildir) write(m *Message, name string, r io.Reader) error {
	f, err := x.target.create(name)
	if err != nil {
		return err
	}
	x.buf.Reset(f)
	_, err = io.Copy(x.buf, r)
	if err = errors.Join(err, x.buf.Flush(), f.Close()); err != nil {
		return err
	}
	return os.Chtimes(x.target.within(name), m.Date, m.Date)
}

// letters are a message's flags in the name of its file, in the order that is asked for.
func letters(f command.Flags) string {
	var b strings.Builder
	for _, l := range []struct {
		flag   command.Flags
		letter byte
	}{{command.FlagDraft, 'D'}, {command.FlagFlagged, 'F'}, {command.FlagAnswered, 'R'}, {command.FlagSeen, 'S'}, {command.FlagDeleted, 'T'}} {
		if f.Has(l.flag) {
			b.WriteByte(l.letter)
		}
	}
	return b.String()
}

// words are its keywords as letters. dir is empty or ends with a slash.
func (x *maildir) words(dir string, keywords []string) string {
	var out []byte
	for _, k := range keywords {
		i := slices.IndexFunc(x.letters[dir], func(have string) bool { return strings.EqualFold(have, k) })
		if i < 0 {
			if i = len(x.letters[dir]); i == maxLetters || !command.ValidKeyword(k) {
				continue
			}
			x.letters[dir] = append(x.letters[dir], k)
		}
		if c := byte('a' + i); !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	slices.Sort(out)
	return string(out)
}

// close writes what the letters mean.
func (x *maildir) close() error {
	for dir, words := range x.letters {
		var b strings.Builder
		for i, w := range words {
			fmt.Fprintf(&b, "%d %s\n", i, w)
		}
		f, err := x.target.create(dir + "dovecot-keywords")
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, b.String())
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
