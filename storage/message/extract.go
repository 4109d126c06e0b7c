package message

// ExtractVersion is the version of extraction this code writes. A raised
// version means that extracting again gives more or better fields.
const ExtractVersion = 1

// Extract is what is known of a message without reading it: computed once, at
// delivery, and kept sealed.
type Extract struct {
	// Version is the extraction's version; see ExtractVersion.
	Version uint32
	// Size is the message's size in bytes.
	Size int64
	// Header is the whole header block as in the message, with the blank
	// line that ends it, if there is one: at most MaxHeader bytes.
	Header []byte
	// HeaderTruncated reports that the header block is longer than Header.
	HeaderTruncated bool
	// Envelope is the message's envelope.
	Envelope Envelope
	// Structure is the message's MIME structure, never nil.
	Structure *Part
	// Preview is the beginning of the text in UTF-8, white space collapsed,
	// at most 200 characters (RFC 8970 allows 256).
	Preview string
	// MessageID is the first message id of the Message-ID field without angle
	// brackets, "" if none.
	MessageID string
	// InReplyTo and References are message ids without angle brackets, oldest
	// first; at most MaxReferences each.
	InReplyTo, References []string
	// BaseSubject is the subject's base subject in UTF-8 (RFC 5256 2.1).
	BaseSubject string
	// IsReply reports that the base subject lost a reply or forward mark.
	IsReply bool
	// HasAttachment reports a part a reader would call an attachment.
	HasAttachment bool
}

// Section is a range of bytes in the message.
type Section struct {
	// Offset is from the start of the message, in bytes.
	Offset int64
	// Len is the length in bytes.
	Len int64
}
