package export

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// archive writes a zip with a file for each message.
type archive struct {
	target *target
	names  *names
	file   io.WriteCloser
	buf    *bufio.Writer
	zip    *zip.Writer
	count  map[string]int // messages by folder
}

func newArchive(t *target) (form, error) {
	f, err := t.create(zipName)
	if err != nil {
		return nil, err
	}
	x := &archive{target: t, names: newNames(safePath), file: f, buf: bufio.NewWriterSize(f, 256<<10), count: map[string]int{}}
	x.zip = zip.NewWriter(x.buf)
	return x, nil
}

func (x *archive) add(m *Message, r io.Reader) (string, error) {
	dir, _ := x.names.path(m.Mailbox)
	x.count[dir]++
	name := fmt.Sprintf("%s/%06d.eml", dir, x.count[dir])
	return name, x.entry(name, m.Date, r)
}

func (x *archive) entry(name string, at time.Time, r io.Reader) error {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at.UTC()}
	h.SetMode(0o600)
	w, err := x.zip.CreateHeader(h)
	if err == nil {
		_, err = io.Copy(w, r)
	}
	return err
}

// addLines puts the list of messages, which is complete, into the archive.
func (x *archive) addLines() error {
	f, err := os.Open(x.target.within(linesName))
	if err != nil {
		return err
	}
	defer f.Close()
	return x.entry(linesName, time.Time{}, f)
}

func (x *archive) close() error {
	return errors.Join(x.zip.Close(), x.buf.Flush(), x.file.Close())
}
