package export

import (
	"bytes"
	"context"
	"io"
	"os"
)

// keptInMemory is how much of a message a Pending keeps in memory, in bytes. What is
// longer lies in a file without a name on the export's own disk.
const keptInMemory = 1 << 20

// Pending is a message that comes piece by piece, and may yet turn out not to be whole:
// nothing of it is in the export until Add. A Writer has one at a time.
type Pending struct {
	w    *Writer
	m    Message
	head bytes.Buffer
	file *os.File // nil while head is enough
}

// Begin begins a message. Drop or Add must be called.
func (w *Writer) Begin(m Message) *Pending { return &Pending{w: w, m: m} }

// Message is what Begin was given.
func (p *Pending) Message() Message { return p.m }

// Write takes the next bytes. KindUnavailable: the disk does not take them.
func (p *Pending) Write(b []byte) (int, error) {
	if p.file == nil && p.head.Len()+len(b) <= keptInMemory {
		return p.head.Write(b)
	}
	if p.file == nil {
		if err := p.spill(); err != nil {
			return 0, p.w.target.failure(err)
		}
	}
	n, err := p.file.Write(b)
	if err != nil {
		err = p.w.target.failure(err)
	}
	return n, err
}

// spill makes the file, which nobody can open and a kill leaves nothing of.
func (p *Pending) spill() (err error) {
	if p.file, err = os.CreateTemp(p.w.target.stage, ".pending-*"); err != nil { // with mode 0600
		return err
	}
	return os.Remove(p.file.Name())
}

// Add writes the message into the export, as Writer.Add does.
func (p *Pending) Add(ctx context.Context) error {
	defer p.Drop()
	var in io.Reader = &p.head
	if p.file != nil {
		if _, err := p.file.Seek(0, io.SeekStart); err != nil {
			return p.w.target.failure(err)
		}
		in = io.MultiReader(in, p.file)
	}
	return p.w.Add(ctx, p.m, in)
}

// Drop gives the message up. The export can go on.
func (p *Pending) Drop() {
	if p.file != nil {
		p.file.Close() // it has no name: nothing is left of it
		p.file = nil
	}
}
