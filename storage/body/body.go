// Package body turns a message into what is stored of it, and back. It owns
// the encoding of bodies (64 KiB chunks, zstd, AES-256-GCM), and the sealing of
// what storage/message extracts in the same pass.
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
