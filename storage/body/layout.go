package body

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rookery"
)

// LayoutVersion is the version of the encoding this code writes.
const LayoutVersion = 1

// maxPlainSize bounds the message size a Layout may claim, in bytes.
const maxPlainSize = 1 << 40

// Layout tells how a body was encoded. It holds nothing secret and is kept
// beside the body's location.
type Layout struct {
	// Version is the encoding's version.
	Version uint8
	// PlainSize is the message's size in bytes.
	PlainSize int64
	// ChunkLens are the sizes in bytes of the encoded chunks, in order; they
	// lie one after the other from offset 0.
	ChunkLens []uint32
	// Dictionary is the zstd dictionary that it was made with.
	Dictionary DictionaryID
	// ExtractLen is the length in bytes of the sealed extract that follows
	// the last chunk, 0 if it is kept in state.
	ExtractLen uint32
	// Salt makes the chunk key differ between two encodings under one
	// message key, so that a nonce never repeats.
	Salt [16]byte
	// Digest is an HMAC of the plaintext's SHA-256 under a key derived from
	// the message key: a plain digest would still name the message after its
	// account's key was destroyed. See Reader.Verify.
	Digest [32]byte
}

// EncodedSize is the size in bytes of everything emitted: the chunks and the
// trailing extract.
func (l Layout) EncodedSize() int64 { return l.ExtractOffset() + int64(l.ExtractLen) }

// ExtractOffset is where in the encoded body the trailing extract begins, if
// ExtractLen is not 0.
func (l Layout) ExtractOffset() int64 {
	var n int64
	for _, c := range l.ChunkLens {
		n += int64(c)
	}
	return n
}

// MarshalBinary gives the compact form kept in state and packs: about 55 bytes
// and three for each chunk.
func (l Layout) MarshalBinary() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, rookery.E("encode layout", rookery.KindInvalid, err)
	}
	b := make([]byte, 0, 64+3*len(l.ChunkLens))
	b = append(b, l.Version)
	b = binary.AppendUvarint(b, uint64(l.PlainSize))
	b = binary.AppendUvarint(b, uint64(l.Dictionary))
	b = binary.AppendUvarint(b, uint64(l.ExtractLen))
	b = append(b, l.Salt[:]...)
	b = append(b, l.Digest[:]...)
	for _, c := range l.ChunkLens {
		b = binary.AppendUvarint(b, uint64(c))
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote. KindDamaged if it cannot be.
func (l *Layout) UnmarshalBinary(b []byte) error {
	const op = "decode layout"
	damaged := func(why string) error { return rookery.E(op, rookery.KindDamaged, errors.New("the layout "+why)) }
	if len(b) == 0 {
		return damaged("is empty")
	}
	n := Layout{Version: b[0]}
	if n.Version != LayoutVersion {
		return damaged(fmt.Sprintf("has version %d: a newer program wrote it", n.Version))
	}
	b = b[1:]
	number := func(limit uint64) uint64 {
		v, k := binary.Uvarint(b)
		if k <= 0 || v > limit {
			b = nil // everything after it fails too
			return 0
		}
		b = b[k:]
		return v
	}
	n.PlainSize = int64(number(maxPlainSize))
	n.Dictionary = DictionaryID(number(1<<32 - 1))
	n.ExtractLen = uint32(number(1<<32 - 1))
	if len(b) < len(n.Salt)+len(n.Digest) {
		return damaged("is cut short")
	}
	b = b[copy(n.Salt[:], b):]
	b = b[copy(n.Digest[:], b):]
	chunks := chunksOf(n.PlainSize)
	if chunks > int64(len(b)) {
		return damaged("is cut short")
	}
	if chunks > 0 {
		n.ChunkLens = make([]uint32, chunks)
	}
	for i := range n.ChunkLens {
		n.ChunkLens[i] = uint32(number(1<<32 - 1))
	}
	if len(b) != 0 {
		return damaged("has bytes left over")
	}
	if err := n.check(); err != nil {
		return rookery.E(op, rookery.KindDamaged, err)
	}
	*l = n
	return nil
}

// check tells whether the numbers fit each other.
func (l Layout) check() error {
	if l.Version != LayoutVersion {
		return fmt.Errorf("the layout has version %d, not %d", l.Version, LayoutVersion)
	}
	if l.PlainSize < 0 || l.PlainSize > maxPlainSize || int64(len(l.ChunkLens)) != chunksOf(l.PlainSize) {
		return fmt.Errorf("the layout has %d chunks for %d bytes", len(l.ChunkLens), l.PlainSize)
	}
	for i, c := range l.ChunkLens {
		if c < minChunk || c > maxChunk {
			return fmt.Errorf("the layout has a chunk %d of %d bytes", i, c)
		}
	}
	return nil
}

// chunksOf is the number of chunks of a message of so many bytes.
func chunksOf(plain int64) int64 { return (plain + ChunkSize - 1) / ChunkSize }

// The bounds of an encoded chunk: codec byte, content, tag.
const (
	minChunk = 1 + 1 + tagSize
	maxChunk = 1 + ChunkSize + tagSize
)
