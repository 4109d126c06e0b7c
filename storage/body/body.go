// Package body turns a message into what is stored of it, and back. It owns
// the encoding of bodies (64 KiB chunks, zstd, AES-256-GCM), the one-pass
// extraction of header, envelope, MIME structure and preview, and the decoding
// of text for SEARCH and previews.
//
// It never stores anything itself, never changes a byte of a message, holds no
// key longer than a call, and knows neither the log nor packs: encoded bytes
// leave through a callback and come back through one.
package body

// ChunkSize is the plaintext size of every chunk of an encoded body but the
// last, in bytes. It is part of format version 1.
const ChunkSize = 64 << 10

// MaxInlineExtract is the largest sealed extract kept in a group's state, in
// bytes. Larger ones trail the encoded body.
const MaxInlineExtract = 16 << 10

// The limits of extraction. What lies beyond stays in the message and is
// read as content of the innermost part reached.
const (
	// MaxDepth bounds the nesting of parts and messages.
	MaxDepth = 100
	// MaxParts bounds the parts of one message.
	MaxParts = 10_000
	// MaxHeader bounds the bytes of the message's header block kept in an
	// Extract; HeaderLen in the structure is exact nevertheless.
	MaxHeader = 1 << 20
	// MaxAddresses bounds the addresses kept of one message's envelopes.
	MaxAddresses = 10_000
	// MaxReferences bounds the message ids kept of References: the first
	// and the newest ones.
	MaxReferences = 100
)
