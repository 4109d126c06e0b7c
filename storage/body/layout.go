package body

// LayoutVersion is the version of the encoding this code writes.
const LayoutVersion = 1

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
	// Dictionary is the zstd dictionary's id, 0 for none.
	Dictionary uint32
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

// MarshalBinary gives the compact form kept in state and packs.
func (l Layout) MarshalBinary() ([]byte, error) { panic("unwritten") }

// UnmarshalBinary reads what MarshalBinary wrote. KindDamaged if it cannot be.
func (l *Layout) UnmarshalBinary(b []byte) error { panic("unwritten") }

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
