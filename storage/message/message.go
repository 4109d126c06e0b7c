// Package message reads messages: RFC 5322 header fields and addresses, MIME
// structure, charsets and transfer encodings, and text for previews and SEARCH.
// One pass extracts what is known of a message without reading it again.
//
// It never changes a byte of a message, stores nothing, and knows no
// encryption. Broken and hostile messages cost bounded time and memory, and
// give a structure that is valid nevertheless.
package message

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
