package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"rookery"
)

// Header identifies a command for ever, so that a doubtful one can be sent
// again and still lands once.
type Header struct {
	// Node is the proposer, 1 to 64 bytes.
	Node rookery.NodeID `cbor:"1,keyasint,omitempty"`
	// Epoch counts the proposer's starts. The first command of a newer epoch
	// fences every older one of the same node.
	Epoch uint64 `cbor:"2,keyasint,omitempty"`
	// Seq numbers the proposer's commands to this group, from 1.
	Seq uint64 `cbor:"3,keyasint,omitempty"`
	// Low is the proposer's low-water mark: no command below it will be sent
	// again, so their results may go. At most Seq.
	Low uint64 `cbor:"4,keyasint,omitempty"`
	// Time is the proposer's clock in unix nanoseconds, 1 to MaxTime.
	Time int64 `cbor:"5,keyasint,omitempty"`
}

// MaxTime is the latest time a command may carry (the year 2116), so that
// group time cannot overflow.
const MaxTime = int64(1) << 62

// maxNode bounds the proposer's name, which is part of a key.
const maxNode = 64

// envelopeVersion is the first byte of every entry. Versions are only added.
const envelopeVersion = 1

// maxHeader bounds the encoded header; real ones take about 60 bytes.
const maxHeader = 256

var headerEnc, headerDec = headerModes()

func headerModes() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, MaxNestedLevels: 4, MaxMapPairs: 32, MaxArrayElements: 32,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return enc, dec
}

// Wrap puts cmd into an envelope: the bytes of a log entry. cmd is copied.
func Wrap(h Header, cmd []byte) []byte {
	meta, err := headerEnc.Marshal(h)
	if err != nil {
		panic(err) // a struct of strings and numbers always encodes
	}
	entry := make([]byte, 0, 1+binary.MaxVarintLen32+len(meta)+len(cmd))
	entry = append(entry, envelopeVersion)
	entry = binary.AppendUvarint(entry, uint64(len(meta)))
	entry = append(entry, meta...)
	return append(entry, cmd...)
}

// Unwrap splits an entry. offset is where the command begins in it:
// entry[offset:] is what Wrap was given. The error is KindInvalid.
func Unwrap(entry []byte) (h Header, offset int, err error) {
	fail := func(format string, args ...any) (Header, int, error) {
		return Header{}, 0, rookery.E("read command envelope", rookery.KindInvalid, fmt.Errorf(format, args...))
	}
	if len(entry) == 0 {
		return fail("it is empty")
	}
	if entry[0] != envelopeVersion {
		return fail("version %d is unknown; upgrade this node", entry[0])
	}
	n, k := binary.Uvarint(entry[1:])
	if k <= 0 || n > maxHeader || n > uint64(len(entry)-1-k) {
		return fail("the header's length is wrong")
	}
	offset = 1 + k + int(n)
	if err := headerDec.Unmarshal(entry[1+k:offset], &h); err != nil {
		return fail("the header does not decode: %w", err)
	}
	if err := h.check(); err != nil {
		return fail("%w", err)
	}
	return h, offset, nil
}

func (h Header) check() error {
	switch {
	case len(h.Node) == 0 || len(h.Node) > maxNode:
		return fmt.Errorf("the node's name has %d bytes, want 1 to %d", len(h.Node), maxNode)
	case h.Epoch == 0:
		return errors.New("the epoch is missing")
	case h.Seq == 0:
		return errors.New("the sequence number is missing")
	case h.Low > h.Seq:
		return errors.New("the low-water mark is above the sequence number")
	case h.Time <= 0 || h.Time > MaxTime:
		return errors.New("the time is missing or out of range")
	}
	return nil
}

// EntryTime peeks at the time an entry carries, in unix nanoseconds; ok is
// false when the entry is not an envelope. A leader uses it to refuse
// entries ahead of its clock before they are committed.
func EntryTime(entry []byte) (nanos int64, ok bool) {
	h, _, err := Unwrap(entry)
	return h.Time, err == nil
}
