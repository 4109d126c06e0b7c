package imap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"

	"rookery"
	"rookery/protocols/imap/wire"
	"rookery/storage/body"
	"rookery/storage/mailbox"
	"rookery/storage/message"
	"rookery/storage/message/decode"
)

// reading is one message while it is fetched or searched. What is known
// without reading it is opened at most once, the body only where an octet of
// it is needed.
type reading struct {
	*session
	ctx  context.Context
	view View
	row  *mailbox.Row

	// headerOnly: nothing of the extract is needed but the header block.
	headerOnly bool

	email    *mailbox.Email
	ex       *message.Extract
	err      error // why there is no ex
	rd       *body.Reader
	contents []content
}

func (m *reading) close() {
	if m.rd != nil {
		m.rd.Close()
		m.rd = nil
	}
}

func (m *reading) extract() (*message.Extract, error) {
	if m.ex == nil && m.err == nil {
		if m.email == nil {
			m.read()
		}
		m.open()
	}
	return m.ex, m.err
}

// read reads what state holds of the message's content.
func (m *reading) read() {
	e, err := m.view.Email(m.row.Email)
	m.email, m.err = &e, notMailbox(err)
}

func (m *reading) body() (*body.Reader, error) {
	if m.rd != nil {
		return m.rd, nil
	}
	if m.email == nil && m.err == nil {
		m.read()
	}
	if m.err != nil {
		return nil, m.err
	}
	rd, err := m.sel.store.Body(m.ctx, m.view, *m.email)
	if err != nil {
		return nil, notMailbox(err)
	}
	m.rd = rd
	return rd, nil
}

// notMailbox keeps a missing message or body from reading as a missing
// mailbox.
func notMailbox(err error) error {
	if rookery.Is(err, rookery.KindNotFound) {
		return no("EXPUNGEISSUED", "A message is gone")
	}
	return err
}

// content is what a section names: octets in memory, or a range of the body,
// as they are or with the transfer encoding undone.
type content struct {
	none   bool // there is no such part
	memory []byte
	reader *body.Reader
	at     message.Section
	decode string // transfer encoding to undo
	ctx    context.Context
	// size is the number of octets of the whole section.
	size int64
}

var errUnknownCTE = no("UNKNOWN-CTE", "A part's transfer encoding is not known; fetch it with BODY")

// content finds a section and makes sure that its first octets can be read.
func (m *reading) content(sec *section) (content, error) {
	c, err := m.locate(sec)
	if err != nil || c.none || c.reader == nil {
		return c, err
	}
	c.ctx = m.ctx
	if c.size > 0 {
		var first [1]byte
		if _, err := c.reader.ReadAt(m.ctx, first[:], c.at.Offset); err != nil {
			return c, err
		}
	}
	if c.decode != "" {
		c.size, err = decode.DecodedSize(c.decode, c.reader.Section(m.ctx, c.at))
		if rookery.Is(err, rookery.KindInvalid) {
			return c, errUnknownCTE
		}
	}
	return c, err
}

// locate finds a section without reading it.
func (m *reading) locate(sec *section) (content, error) {
	if sec.whole() {
		return m.ranged(message.Section{Len: m.row.Size})
	}
	root := m.ex.Structure
	part := root.Find(sec.path)
	if part == nil {
		return content{none: true}, nil
	}
	whole := part // what HEADER and TEXT are of
	if len(sec.path) > 0 {
		if whole = nil; part.Message != nil {
			whole = part.Message.Structure
		}
	}
	switch sec.spec {
	case "":
		c, err := m.ranged(part.Body())
		if sec.binary && !identity(part) {
			c.decode = part.Encoding
		}
		return c, err
	case "MIME":
		return m.header(part, part == root)
	}
	if whole == nil {
		return content{none: true}, nil
	}
	if sec.spec == "TEXT" {
		return m.ranged(whole.Body())
	}
	c, err := m.header(whole, whole == root)
	if err != nil || sec.spec == "HEADER" {
		return c, err
	}
	block := c.memory
	if c.reader != nil {
		c.at.Len = min(c.at.Len, message.MaxHeader)
		if block, err = c.reader.ReadSection(m.ctx, c.at); err != nil {
			return c, err
		}
	}
	fields, err := selectFields(m.ctx, block, sec.named, sec.spec == "HEADER.FIELDS.NOT")
	return inMemory(fields), err
}

// identity reports that a part's octets are what BINARY wants already.
func identity(p *message.Part) bool {
	if p.Type == "multipart" || p.Message != nil {
		return true
	}
	switch p.Encoding {
	case "7bit", "8bit", "binary":
		return true
	}
	return false
}

func inMemory(b []byte) content { return content{memory: b, size: int64(len(b))} }

func (m *reading) ranged(at message.Section) (content, error) {
	if at.Len == 0 {
		return inMemory(nil), nil
	}
	rd, err := m.body()
	return content{reader: rd, at: at, size: at.Len}, err
}

// header is a part's header: the message's own is in the extract.
func (m *reading) header(p *message.Part, own bool) (content, error) {
	if own && !m.ex.HeaderTruncated {
		return inMemory(m.ex.Header), nil
	}
	return m.ranged(p.Header())
}

// selectFields gives the fields of a header block that are (or are not) named,
// with the blank line that ends every header (RFC 9051 6.4.5).
func selectFields(ctx context.Context, block []byte, named map[string]bool, not bool) ([]byte, error) {
	out := make([]byte, 0, 256)
	err := message.EachField(ctx, block, func(name, field, _ []byte) {
		if named[string(name)] != not {
			out = append(out, field...)
		}
	})
	return append(out, '\r', '\n'), err
}

// open streams the octets from off on.
func (c *content) open(off int64) io.Reader {
	switch {
	case c.reader == nil:
		return bytes.NewReader(c.memory[off:])
	case c.decode == "":
		return c.reader.Section(c.ctx, message.Section{Offset: c.at.Offset + off, Len: c.at.Len - off})
	}
	r, _ := decode.Transfer(c.decode, c.reader.Section(c.ctx, c.at))
	io.CopyN(io.Discard, r, off)
	return r
}

// writeContent writes a section's item: its name as asked for and its octets.
func (f *fetcher) writeContent(it *fetchItem, c content) {
	w, sec := f.out, it.section
	if w.Err() != nil { // told already
		return
	}
	writeSectionName(w, it.name, sec)
	if sec.size {
		w.Byte(' ').Uint(uint64(c.size))
		return
	}
	if c.none {
		w.Text(" NIL")
		return
	}
	from, n := int64(0), c.size
	if sec.partial {
		from = min(sec.from, c.size)
		n = min(sec.n, c.size-from)
	}
	w.Byte(' ')
	if n == 0 {
		w.Text(`""`)
		return
	}
	w.LiteralHeader(n, sec.binary)
	if err := w.Copy(c.open(from), n); err != nil {
		f.lost(it, err)
	}
}

// lost logs what has ended a literal half-way, and with it the connection: a
// client that has left is usual, a body that cannot be read is not.
func (f *fetcher) lost(it *fetchItem, err error) {
	level := slog.LevelWarn
	if errors.Is(err, f.out.Err()) || f.ctx.Err() != nil {
		level = slog.LevelDebug
	}
	f.logger().Log(context.Background(), level, "IMAP lost a message half-way", "item", it.name, "error", err)
}

func writeSectionName(w *wire.Writer, name string, sec *section) {
	if sec.legacy != "" {
		w.Text(sec.legacy)
		return
	}
	w.Text(strings.TrimSuffix(name, ".PEEK")).Byte('[')
	for i, n := range sec.path {
		if i > 0 {
			w.Byte('.')
		}
		w.Uint(uint64(n))
	}
	if sec.spec != "" {
		if len(sec.path) > 0 {
			w.Byte('.')
		}
		w.Text(sec.spec)
	}
	if len(sec.fields) > 0 {
		w.Text(" (")
		for i, f := range sec.fields {
			if i > 0 {
				w.Byte(' ')
			}
			w.AString(f)
		}
		w.Byte(')')
	}
	w.Byte(']')
	if sec.partial {
		w.Byte('<').Uint(uint64(sec.from)).Byte('>')
	}
}
