package export

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// linesName is the list beside the messages, zipName the archive in the stage.
const (
	linesName = "messages.jsonl"
	zipName   = "export.zip"
)

// Line is what messages.jsonl says of a message.
type Line struct {
	// File is its file in the export, with / between directories; of an mbox the one
	// that it is in. It is empty for a message that could not be read.
	File string `json:"file"`
	// Mailbox is the name of its folder as it was.
	Mailbox  string   `json:"mailbox"`
	Email    string   `json:"email_id,omitempty"`
	Flags    []string `json:"flags,omitempty"`
	Keywords []string `json:"keywords,omitempty"`
	// Date is INTERNALDATE, Size that of the message as it was, in bytes.
	Date time.Time `json:"internal_date"`
	Size int64     `json:"size"`
	// Error is why it could not be read.
	Error string `json:"error,omitempty"`
}

// lines writes the list.
type lines struct {
	file io.WriteCloser
	buf  *bufio.Writer
	enc  *json.Encoder
}

func newLines(t *target) (*lines, error) {
	f, err := t.create(linesName)
	if err != nil {
		return nil, err
	}
	l := &lines{file: f, buf: bufio.NewWriter(f)}
	l.enc = json.NewEncoder(l.buf)
	return l, nil
}

func (l *lines) add(m *Message, name string) error { return l.enc.Encode(lineOf(m, name)) }

func (l *lines) missing(m *Message, cause string) error {
	x := lineOf(m, "")
	x.Error = cause
	return l.enc.Encode(x)
}

func lineOf(m *Message, name string) Line {
	return Line{File: name, Mailbox: m.Mailbox, Email: m.Email, Flags: m.Flags.Names(), Keywords: m.Keywords, Date: m.Date.UTC(), Size: m.Size}
}

func (l *lines) close() error { return errors.Join(l.buf.Flush(), l.file.Close()) }
