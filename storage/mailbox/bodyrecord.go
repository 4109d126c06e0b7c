package mailbox

import (
	"encoding/binary"

	"rookery"
	"rookery/storage/command"
)

// email is the record of tableEmail.
type email struct {
	refs   uint64 // rows and entries of the recoverable list
	size   int64
	body   BodyID
	thread rookery.ThreadID
	tokens [][8]byte
	key    []byte
}

func (e *email) encode() []byte {
	b := make([]byte, 1, 48+8*len(e.tokens)+len(e.key))
	b[0] = 1
	b = binary.AppendUvarint(b, e.refs)
	b = binary.AppendVarint(b, e.size)
	b = binary.AppendUvarint(b, uint64(e.body))
	b = append(b, e.thread[:]...)
	b = binary.AppendUvarint(b, uint64(len(e.tokens)))
	for _, t := range e.tokens {
		b = append(b, t[:]...)
	}
	return appendBytes(b, e.key)
}

func decodeEmail(b []byte) (*email, error) {
	if len(b) == 0 || b[0] != 1 {
		return nil, damaged("email")
	}
	r := reader{b: b[1:]}
	e := &email{refs: r.uvarint(), size: r.varint(), body: BodyID(r.uvarint())}
	copy(e.thread[:], r.take(16))
	if n := r.count(8); n > 0 {
		e.tokens = make([][8]byte, n)
		for i := range e.tokens {
			copy(e.tokens[i][:], r.take(8))
		}
	}
	e.key = r.bytes()
	if r.bad {
		return nil, damaged("email")
	}
	return e, nil
}

// body is the record of tableBody.
type bodyRecord struct {
	Body
	refs uint64 // emails and items of the queue
}

func (x *bodyRecord) encode() []byte {
	b := make([]byte, 1, 48+len(x.Layout)+16*len(x.Log))
	b[0] = 1
	b = binary.AppendUvarint(b, x.refs)
	b = binary.AppendVarint(b, x.Size)
	b = binary.AppendVarint(b, x.Encoded)
	b = binary.AppendVarint(b, x.Arrived)
	b = appendBytes(b, x.Layout)
	b = binary.AppendUvarint(b, uint64(len(x.Log)))
	for _, p := range x.Log {
		b = p.append(b)
	}
	b = binary.AppendUvarint(b, uint64(len(x.Pack)))
	for _, p := range x.Pack {
		b = appendBytes(b, p.Pack)
		b = binary.AppendVarint(b, p.Off)
		b = binary.AppendVarint(b, p.Len)
	}
	return b
}

func decodeBody(id BodyID, b []byte) (*bodyRecord, error) {
	if len(b) == 0 || b[0] != 1 {
		return nil, damaged("body")
	}
	r := reader{b: b[1:]}
	x := &bodyRecord{refs: r.uvarint()}
	x.ID = id
	x.Size, x.Encoded, x.Arrived = r.varint(), r.varint(), r.varint()
	x.Layout = r.bytes()
	if n := r.count(4); n > 0 {
		x.Log = make([]LogPiece, n)
		for i := range x.Log {
			x.Log[i] = r.piece()
		}
	}
	if n := r.count(3); n > 0 {
		x.Pack = make([]PackPiece, n)
		for i := range x.Pack {
			x.Pack[i] = PackPiece{command.PackID(r.str()), r.varint(), r.varint()}
		}
	}
	if r.bad {
		return nil, damaged("body")
	}
	return x, nil
}

func (p LogPiece) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(p.Index))
	b = binary.AppendUvarint(b, p.Term)
	b = binary.AppendVarint(b, p.Off)
	return binary.AppendVarint(b, p.Len)
}

func (r *reader) piece() LogPiece {
	return LogPiece{rookery.LogIndex(r.uvarint()), r.uvarint(), r.varint(), r.varint()}
}

func checkBody(_, v []byte) error {
	_, err := decodeBody(0, v)
	return err
}

// checkExtract takes every extract: it is sealed.
func checkExtract(_, _ []byte) error { return nil }

func checkSize(_, v []byte) error {
	if _, n := binary.Uvarint(v); n <= 0 {
		return damaged("size of a body")
	}
	return nil
}

func checkPiece(_, v []byte) error {
	r := reader{b: v}
	if r.piece(); r.bad {
		return damaged("staged chunk")
	}
	return nil
}
