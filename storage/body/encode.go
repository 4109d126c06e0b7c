package body

import "context"
import "io"

// Encoded is what Encode made of a message.
type Encoded struct {
	Layout  Layout
	Extract *Extract
	// Sealed is the sealed extract for the group's state; nil when it was
	// larger than MaxInlineExtract and was emitted behind the chunks, where
	// Layout.ExtractOffset and ExtractLen find it.
	Sealed []byte
	// Trailing reports that the sealed extract follows the chunks.
	Trailing bool
	// SHA256 is the digest of the message.
	SHA256 [32]byte
	// Size is the message's size in bytes.
	Size int64
}

// Encode reads a message, the final bytes with CRLF line ends, encodes it under
// key and extracts from it, in one pass and bounded memory. Each encoded piece
// (at most ChunkSize+64 bytes) is passed to emit, in order; it is valid during
// the call only. An error of r, ctx or emit ends it and is returned wrapped.
func Encode(ctx context.Context, r io.Reader, key MessageKey, emit func(chunk []byte) error) (Encoded, error) {
	panic("unwritten")
}

// ExtractFrom only extracts.
func ExtractFrom(ctx context.Context, r io.Reader) (*Extract, error) { panic("unwritten") }
