package message

// Envelope holds the fields of ENVELOPE (RFC 9051 7.5.2) as the message has
// them: unfolded, RFC 2047 words not decoded, bytes above 127 untouched, NUL
// dropped. Sender and ReplyTo are as in the message; that they default to
// From is applied where the envelope is sent, in protocols/imap. Repeated
// address fields are joined; of the other fields the first counts.
type Envelope struct {
	Date, Subject                      string
	From, Sender, ReplyTo, To, Cc, Bcc []Address
	InReplyTo, MessageID               string
	// Present tells an absent field (NIL) from an empty one ("").
	Present Fields
}

// Fields is a set of the envelope's unstructured fields.
type Fields uint8

// The fields whose absence shows in ENVELOPE.
const (
	HasDate Fields = 1 << iota
	HasSubject
	HasInReplyTo
	HasMessageID
)

// Has reports whether the message has the field.
func (e *Envelope) Has(f Fields) bool { return e.Present&f == f }

// Mark tells addresses from the marks of a group.
type Mark uint8

// The marks. A group is GroupStart (its name in Mailbox), its members, and
// GroupEnd; on the wire both marks have a NIL host.
const (
	NoMark Mark = iota
	GroupStart
	GroupEnd
)

// Address is one address of an Envelope. A plain address without a domain has
// an empty Host, which must not be sent as NIL.
type Address struct {
	// Name is the display name, or the comment used in its stead.
	Name string
	// Route is the obsolete source route, "@a,@b" without the colon.
	Route string
	// Mailbox is the local part, unquoted; of GroupStart the group's name.
	Mailbox string
	// Host is the domain.
	Host string
	// Mark is NoMark for an address.
	Mark Mark
}
