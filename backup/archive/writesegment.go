package archive

import (
	"context"
	"fmt"

	"rookery"
	"rookery/backup/sealed"
	rlog "rookery/cluster/log"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// segment is one in the making.
type segment struct {
	a       *Archiver
	info    SegmentInfo
	entries []collected
	bytes   int
}

type collected struct {
	Entry
	command command.Command
}

// collect reads the executed entries that the segment covers, at most maxSegment
// bytes of them, and finds out where their bodies lie.
func (s *segment) collect(ctx context.Context, snap *state.Snap) error {
	verdicts := map[rookery.LogIndex]state.Verdict{}
	end := s.info.Last
	if err := snap.Verdicts(s.info.First, end+1, func(v state.Verdict) bool {
		verdicts[v.Index] = v
		s.info.Last = v.Index
		return len(verdicts) < maxEntries
	}); err != nil {
		return err
	}
	if len(verdicts) < maxEntries {
		s.info.Last = end
	}
	full := rookery.LogIndex(0)
	err := s.a.o.Read(ctx, rlog.Range{From: s.info.First, To: s.info.Last}, func(e rlog.Entry) error {
		v, known := verdicts[e.Index]
		if full == 0 && s.bytes > maxSegment {
			full = e.Index - 1
		}
		if full > 0 || !known || v.Outcome != state.Executed {
			return nil
		}
		return s.add(e, v)
	})
	if full > 0 {
		s.info.Last = full
	}
	if err == nil {
		err = s.place()
	}
	return err
}

// maxEntries bounds the entries of a segment.
const maxEntries = 32768

func (s *segment) add(e rlog.Entry, v state.Verdict) error {
	_, offset, err := state.Unwrap(e.Data)
	if err != nil {
		return err
	}
	c, payload, err := command.Decode(e.Data[offset:])
	if err != nil {
		return err
	}
	at := offset + payload
	s.entries = append(s.entries, collected{command: c, Entry: Entry{Index: e.Index, Term: e.Term, Time: v.Time, Head: e.Data[:at],
		PayloadLen: int64(len(e.Data) - at), Payload: e.Data[at:]}})
	s.bytes += len(e.Data)
	return nil
}

// place leaves out what packs hold by now.
func (s *segment) place() error {
	if s.a.o.Bodies == nil {
		return nil
	}
	at := map[rookery.LogIndex]*collected{}
	for i := range s.entries {
		at[s.entries[i].Index] = &s.entries[i]
	}
	for i := range s.entries {
		switch s.entries[i].command.(type) {
		case *command.Deliver, *command.ImportBody, *command.Restore:
		default:
			continue
		}
		b, err := s.a.o.Bodies(mailbox.BodyID(s.entries[i].Index))
		if rookery.Is(err, rookery.KindNotFound) || err == nil && len(b.Pack) != 1 {
			continue // it is gone, or waits: it rides here
		}
		if err != nil {
			return err
		}
		off := b.Pack[0].Off
		for _, p := range b.Log {
			if e := at[p.Index]; e != nil && e.PayloadLen == p.Len {
				e.Pack, e.Off, e.Payload = b.Pack[0].Pack, off, nil
			}
			off += p.Len
		}
	}
	return nil
}

// idle reports whether nothing in it concerns an account or a body.
func (s *segment) idle() bool {
	for i := range s.entries {
		if s.entries[i].command.Touches().Kind != command.TouchNone {
			return false
		}
	}
	return s.a.o.Bodies != nil || len(s.entries) <= 1
}

// frameSize is how large a frame becomes, before compression.
const frameSize = 256 << 10

// write puts the segment into the store.
func (s *segment) write(ctx context.Context) error {
	if n := len(s.entries); n > 0 {
		s.info.From, s.info.To = s.entries[0].Time, s.entries[n-1].Time
	}
	w, err := sealed.NewWriter(ctx, sealed.Place{Cluster: s.a.o.Cluster, Kind: sealed.Segment, Name: s.info.Key()}, s.a.o.Keys)
	if err != nil {
		return err
	}
	words := SegmentWords{Entries: uint64(len(s.entries))}
	var b []byte
	var of FrameWords
	flush := func() error {
		if len(b) == 0 {
			return nil
		}
		_, err := w.Frame(b)
		words.Frames = append(words.Frames, of)
		b, of = b[:0], FrameWords{}
		return err
	}
	for i := range s.entries {
		b = s.entries[i].append(b)
		of.note(s.entries[i].command)
		if len(b) >= frameSize {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	object, err := w.Finish(&words)
	if err != nil {
		return rookery.E(fmt.Sprintf("archive entries %d to %d of group %d", s.info.First, s.info.Last, s.info.Group), 0, err)
	}
	s.a.state.Segments++
	return s.a.put(ctx, s.info.Key(), object)
}
