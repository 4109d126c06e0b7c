// Package command holds the commands of the replicated state machines (mail
// groups and the system group), their results, and the codec of both.
//
// On the wire a command is
//
//	type (uvarint) | uvarint len(meta) | meta (CBOR, integer keys) | payload
//
// with the payload last and untouched, so that a body is readable in place
// inside the log entry that delivered it. Once the program is released, numbers
// of types and of fields are only ever appended: an old entry decodes for ever.
//
// The package never applies anything, knows no log, and keeps no clock.
package command

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"rookery"
)

// Command is one of the command structs of this package, by pointer.
type Command interface {
	// Touches says whose rows the command reads or changes.
	Touches() Touch
}

// carrier is a command with a raw payload behind its meta.
type carrier interface {
	payload() []byte
	setPayload([]byte)
}

// normalised is a command that holds mailbox names, which Encode brings into
// Unicode normal form C, so that no replica's Unicode tables matter.
type normalised interface {
	normal() Command
}

// Bounds of a command.
const (
	// MaxMeta bounds a command's meta in bytes.
	MaxMeta = 4 << 20
	// MaxPayload bounds a command's payload in bytes.
	MaxPayload = 1 << 20
)

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   16,
		MaxArrayElements:  131072,
		MaxMapPairs:       1024,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options are constants: a broken build
	}
	return v
}

// Encode gives a command's bytes. Mailbox names travel in normal form C.
func Encode(c Command) []byte {
	if n, ok := c.(normalised); ok {
		c = n.normal()
	}
	meta, err := encMode.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("command: cannot encode %T: %v", c, err)) // fields of this package only
	}
	var payload []byte
	if p, ok := c.(carrier); ok {
		payload = p.payload()
	}
	b := make([]byte, 0, 2*binary.MaxVarintLen32+len(meta)+len(payload))
	b = binary.AppendUvarint(b, uint64(TypeOf(c)))
	b = binary.AppendUvarint(b, uint64(len(meta)))
	b = append(b, meta...)
	return append(b, payload...)
}

// Decode reads a command and the offset of its payload in b. The payload
// aliases b; everything else is a copy. Errors are KindInvalid; a command of
// an unknown type or with unknown fields is one (it is never half applied).
func Decode(b []byte) (c Command, payload int, err error) {
	fail := func(err error) (Command, int, error) {
		return nil, 0, rookery.E("decode command", rookery.KindInvalid, err)
	}
	t, n := binary.Uvarint(b)
	if n <= 0 || t > 0xffff {
		return fail(errors.New("the command has no type"))
	}
	size, m := binary.Uvarint(b[n:])
	if m <= 0 || size > MaxMeta || size > uint64(len(b)-n-m) {
		return fail(errors.New("the command is cut short"))
	}
	row, err := rowOf(Type(t))
	if err != nil {
		return fail(err)
	}
	c = row.New()
	payload = n + m + int(size)
	if err := decMode.Unmarshal(b[n+m:payload], c); err != nil {
		return fail(fmt.Errorf("command %s: %w", row.Name, err))
	}
	p, ok := c.(carrier)
	switch {
	case ok && len(b)-payload > MaxPayload:
		return fail(fmt.Errorf("command %s has a payload of %d bytes, at most %d", row.Name, len(b)-payload, MaxPayload))
	case ok:
		p.setPayload(b[payload:])
	case len(b) != payload:
		return fail(fmt.Errorf("command %s has %d bytes behind its end", row.Name, len(b)-payload))
	}
	return c, payload, nil
}
