package archive

import (
	"bytes"
	"context"

	"rookery"
	"rookery/backup/sealed"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// partSize is how large the object of a part becomes, and imageFrame how large a
// frame, before compression.
const (
	partSize   = 16 << 20
	imageFrame = 128 << 10
)

// imaging is an image in the making: one part in memory at a time.
type imaging struct {
	a     *Archiver
	ctx   context.Context
	info  ImageInfo
	words ImageWords
	w     *sealed.Writer
	part  PartWords
	frame []byte
	first []byte // key of the frame's first row
}

// image writes one of what the view shows, and gives the last entry that the archive
// has then: that of the image behind a gap, else upto.
func (a *Archiver) image(ctx context.Context, snap *state.Snap, upto rookery.LogIndex, reason string, gap *Gap) (rookery.LogIndex, error) {
	index, term, err := snap.Applied()
	if err != nil {
		return upto, err
	}
	at, err := snap.Time()
	if err != nil {
		return upto, err
	}
	m := &imaging{a: a, ctx: ctx, info: ImageInfo{Group: a.o.Group, Index: index, Time: at}}
	m.words = ImageWords{Term: term, Reason: reason, Gap: gap}
	if gap != nil {
		gap.To = at
	}
	if err := m.write(snap); err != nil {
		return upto, err
	}
	a.o.Logger.Info("an image of a group is in the archive", "group", a.o.Group, "index", index, "rows", m.words.Rows, "bytes", m.words.Bytes,
		"reason", reason)
	a.state.Image, a.state.Gap, a.made = m.info, gap, a.o.Clock()
	a.state.Time = max(a.state.Time, at)
	if upto > 0 && gap == nil {
		return upto, nil
	}
	// What lies between was never kept, or is gone: the archive begins here.
	return index, a.o.Propose(ctx, &command.Archived{Upto: index})
}

func (m *imaging) write(snap *state.Snap) error {
	if err := snap.Scan([]byte{state.FirstTable}, nil, func(k, v []byte) (bool, error) { return true, m.row(k, v) }); err != nil {
		return err
	}
	if err := m.flushRows(); err != nil {
		return err
	}
	if m.a.o.Bodies != nil {
		if err := mailbox.OutsidePacks(snap, m.chunk); err != nil {
			return err
		}
	}
	if err := m.flushPart(); err != nil {
		return err
	}
	w, err := sealed.NewWriter(m.ctx, m.place(sealed.Image, m.info.Key()), m.a.o.Keys)
	if err != nil {
		return err
	}
	object, err := w.Finish(&m.words)
	if err != nil {
		return err
	}
	return m.a.put(m.ctx, m.info.Key(), object)
}

func (m *imaging) place(kind sealed.Kind, name string) sealed.Place {
	return sealed.Place{Cluster: m.a.o.Cluster, Kind: kind, Name: name}
}

func (m *imaging) row(k, v []byte) error {
	if len(m.frame) == 0 {
		m.first = bytes.Clone(k)
	}
	m.frame = appendRow(m.frame, k, v)
	m.words.Rows++
	if len(m.frame) < imageFrame {
		return nil
	}
	return m.flushRows()
}

func (m *imaging) flushRows() error {
	if len(m.frame) == 0 {
		return nil
	}
	if err := m.room(); err != nil {
		return err
	}
	if _, err := m.w.Frame(m.frame); err != nil {
		return err
	}
	m.part.Keys = append(m.part.Keys, m.first)
	m.frame = m.frame[:0]
	return nil
}

// chunk adds a part of a body, which lies in the log.
func (m *imaging) chunk(p mailbox.LogPiece) error {
	b := make([]byte, p.Len)
	if err := m.a.o.ReadLog(m.ctx, p.Index, p.Term, b, p.Off); err != nil {
		if rookery.Is(err, rookery.KindNotFound) {
			return nil // it was packed, or went, since the view was opened
		}
		return err
	}
	if err := m.room(); err != nil {
		return err
	}
	n, err := m.w.Frame(b)
	m.part.Chunks = append(m.part.Chunks, Chunk{Frame: n, Index: p.Index, Off: p.Off, Len: p.Len})
	return err
}

// room begins a part where there is none, or where it is full.
func (m *imaging) room() (err error) {
	if m.w != nil && m.w.Size() >= partSize {
		if err := m.flushPart(); err != nil {
			return err
		}
	}
	if m.w == nil {
		m.w, err = sealed.NewWriter(m.ctx, m.place(sealed.ImagePart, m.info.Part(len(m.words.Parts))), m.a.o.Keys)
	}
	return err
}

func (m *imaging) flushPart() error {
	if m.w == nil {
		return nil
	}
	object, err := m.w.Finish(struct{}{})
	if err != nil {
		return err
	}
	m.part.Size = int64(len(object))
	m.words.Bytes += m.part.Size
	name := m.info.Part(len(m.words.Parts))
	m.words.Parts = append(m.words.Parts, m.part)
	m.w, m.part = nil, PartWords{}
	return m.a.put(m.ctx, name, object)
}
