package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"rookery"
	"rookery/storage/command"
)

// Format is what an export is written as.
type Format string

// The formats.
const (
	Mbox    Format = "mbox"
	Maildir Format = "maildir"
	Zip     Format = "zip"
)

// Message is a message that is exported, without its bytes.
type Message struct {
	// Mailbox is the name of its folder, with / between levels. It may hold anything.
	Mailbox string
	// Email is its EMAILID (RFC 8474), which messages.jsonl alone can say.
	Email    string
	Flags    command.Flags
	Keywords []string
	// Date is INTERNALDATE. One outside the years 1 to 9999 is written as 1970.
	Date time.Time
	// Size is that of the message in bytes.
	Size int64
}

// Totals are what an export has by now.
type Totals struct {
	Messages int
	Bytes    int64 // of the messages, before any compression
	// Missing counts the messages that could not be read.
	Missing int
}

// form is how one format writes.
type form interface {
	// add writes a message and returns the name of its file in the export.
	add(m *Message, r io.Reader) (name string, err error)
	// close ends what is open. It is called once.
	close() error
}

// Writer is an export under way. It is not safe for concurrent use.
type Writer struct {
	target *target
	form   form
	lines  *lines
	totals Totals
	failed error
	closed bool
}

var errEnded = rookery.E("export", rookery.KindInvalid, errors.New("the export has ended"))

// Create begins an export at path: a directory for mbox and maildir, a file for zip.
// The directory above must exist. Discard must be called in any case. Errors:
// KindExists, there is something at path that is not empty; KindInvalid, there is no
// such format; KindUnavailable, the disk does not take it.
func Create(format Format, path string) (*Writer, error) { return create(format, path, openFile) }

func create(format Format, path string, open opener) (*Writer, error) {
	var begin func(*target) (form, error)
	switch format {
	case Mbox:
		begin = newMbox
	case Maildir:
		begin = newMaildir
	case Zip:
		begin = newArchive
	default:
		return nil, rookery.E("export", rookery.KindInvalid, fmt.Errorf("there is no format %q: it is mbox, maildir or zip", format))
	}
	t, err := newTarget(path, format == Zip, open)
	if err != nil {
		return nil, err
	}
	w := &Writer{target: t}
	if w.lines, err = newLines(t); err == nil {
		w.form, err = begin(t)
	}
	if err != nil {
		w.Discard()
		return nil, t.failure(err)
	}
	return w, nil
}

// Add writes one message. r must give Size bytes: otherwise the error is KindDamaged.
// After an error the export cannot be committed.
func (w *Writer) Add(ctx context.Context, m Message, r io.Reader) error {
	if w.failed != nil {
		return w.failed
	}
	if w.closed {
		return errEnded
	}
	m.Date = writable(m.Date)
	in := &exact{ctx: ctx, r: r, left: m.Size}
	name, err := w.form.add(&m, in)
	if err == nil {
		err = w.lines.add(&m, name)
	}
	if err != nil {
		if in.err != nil {
			err = in.err // the message's fault, not the disk's
		} else {
			err = w.target.failure(err)
		}
		w.failed = err
		return err
	}
	w.totals.Messages++
	w.totals.Bytes += m.Size
	return nil
}

// Missing lists a message that could not be read, with the cause in plain words, in
// messages.jsonl, so that who gets the export can tell what it lacks.
func (w *Writer) Missing(m Message, cause string) error {
	if w.failed != nil {
		return w.failed
	}
	if w.closed {
		return errEnded
	}
	m.Date = writable(m.Date)
	if err := w.lines.missing(&m, cause); err != nil {
		w.failed = w.target.failure(err)
		return w.failed
	}
	w.totals.Missing++
	return nil
}

// writable is a date that every form can say.
func writable(at time.Time) time.Time {
	if y := at.UTC().Year(); y < 1 || y > 9999 {
		return time.Unix(0, 0)
	}
	return at
}

// Totals are what was added.
func (w *Writer) Totals() Totals { return w.totals }

// Commit ends the export and gives it its name. With an error there is nothing under
// that name, or what was there before.
func (w *Writer) Commit() error {
	switch {
	case w.failed != nil:
		return w.failed
	case w.closed:
		return errEnded
	}
	if err := w.close(); err != nil {
		w.failed = w.target.failure(err)
		return w.failed
	}
	w.failed = w.target.commit()
	return w.failed
}

// close ends the form. The list of lines is a file of its own but in a zip.
func (w *Writer) close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	err := w.lines.close()
	if z, ok := w.form.(*archive); ok && err == nil && w.failed == nil {
		err = z.addLines()
	}
	if w.form != nil {
		err = errors.Join(err, w.form.close())
	}
	return err
}

// Discard deletes the export unless it was committed.
func (w *Writer) Discard() {
	if w.failed == nil {
		w.failed = errors.New("the export was discarded")
	}
	if w.lines != nil {
		w.close()
	}
	w.target.discard()
}

// exact reads a message and fails unless it has exactly the bytes that it should.
type exact struct {
	ctx  context.Context
	r    io.Reader
	left int64
	err  error // why it failed; nil at its proper end
}

func (e *exact) Read(p []byte) (int, error) {
	if e.err = e.ctx.Err(); e.err != nil {
		return 0, e.err
	}
	n, err := e.r.Read(p)
	switch e.left -= int64(n); {
	case e.left < 0:
		err = rookery.E("export", rookery.KindDamaged, errors.New("a message is longer than its record says"))
	case e.left > 0 && err == io.EOF:
		err = rookery.E("export", rookery.KindDamaged, fmt.Errorf("a message is %d bytes shorter than its record says", e.left))
	}
	if err != nil && err != io.EOF {
		e.err = err
	}
	return n, err
}
