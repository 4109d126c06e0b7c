package archive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"rookery"
	"rookery/storage/command"
)

// Entry is an executed command of a group's log as the archive has it.
type Entry struct {
	Index rookery.LogIndex
	Term  uint64
	// Time is its group time, unix nanoseconds.
	Time int64
	// Head is the entry's data up to its payload, which has PayloadLen bytes.
	Head       []byte
	PayloadLen int64
	// The payload is a part of a body, which lies in Pack from Off on, or rides here.
	Pack    command.PackID
	Off     int64
	Payload []byte
}

func (e *Entry) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(e.Index))
	b = binary.AppendUvarint(b, e.Term)
	b = binary.AppendVarint(b, e.Time)
	b = appendBytes(b, e.Head)
	b = binary.AppendUvarint(b, uint64(e.PayloadLen))
	b = appendBytes(b, []byte(e.Pack))
	if e.Pack != "" {
		return binary.AppendUvarint(b, uint64(e.Off))
	}
	return append(b, e.Payload...)
}

func appendBytes(b, p []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(p))), p...) }

// Entries calls fn for the entries of a segment's frame, until it returns an error.
// What it is given shares the frame's memory.
func Entries(b []byte, fn func(*Entry) error) error {
	r := reader{b: b}
	for len(r.b) > 0 && !r.bad {
		e := &Entry{Index: rookery.LogIndex(r.uvarint()), Term: r.uvarint(), Time: r.varint(), Head: r.bytes()}
		e.PayloadLen = int64(r.uvarint())
		e.Pack = command.PackID(r.bytes())
		switch {
		case r.bad || e.PayloadLen < 0:
		case e.Pack != "":
			e.Off = int64(r.uvarint())
		default:
			e.Payload = r.take(uint64(e.PayloadLen))
		}
		if r.bad {
			break
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	if r.bad {
		return malformed("a segment")
	}
	return nil
}

func malformed(what string) error {
	return rookery.E("read archive", rookery.KindDamaged, fmt.Errorf("%s is malformed", what))
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) bytes() []byte { return r.take(r.uvarint()) }

// SegmentWords are the footer of a segment.
type SegmentWords struct {
	Frames []FrameWords `cbor:"1,keyasint"`
	// Entries counts the entries in it.
	Entries uint64 `cbor:"2,keyasint"`
}

// FrameWords say whom a frame's entries concern.
type FrameWords struct {
	// All says that some concern every account.
	All bool `cbor:"1,keyasint,omitempty"`
	// Accounts are those that entries name, sorted.
	Accounts []rookery.AccountID `cbor:"2,keyasint,omitempty"`
	// Stages are those that have chunks of bodies here, as StageName gives them.
	Stages []string `cbor:"3,keyasint,omitempty"`
}

// StageName names a stage.
func StageName(s command.StageID) string { return fmt.Sprintf("%s/%d/%d", s.Node, s.Epoch, s.N) }

// Concerns reports whether an account's replay needs the frame, but for staged chunks.
func (f *FrameWords) Concerns(id rookery.AccountID) bool {
	if f.All {
		return true
	}
	_, found := slices.BinarySearchFunc(f.Accounts, id, compareIDs)
	return found
}

func compareIDs(a, b rookery.AccountID) int { return bytes.Compare(a[:], b[:]) }

// note adds what an entry's command concerns.
func (f *FrameWords) note(c command.Command) {
	t := c.Touches()
	f.All = f.All || t.Kind == command.TouchAll
	for _, id := range t.Accounts {
		if at, found := slices.BinarySearchFunc(f.Accounts, id, compareIDs); !found {
			f.Accounts = slices.Insert(f.Accounts, at, id)
		}
	}
	if s, is := c.(*command.Stage); is {
		if name := StageName(s.Stage); !slices.Contains(f.Stages, name) {
			f.Stages = append(f.Stages, name)
		}
	}
}
