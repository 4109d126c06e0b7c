package queue

import (
	"encoding/binary"

	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/tables"
)

// Envelope is what SMTP said of a message as a whole.
type Envelope struct {
	// From is the reverse path; "" is the null sender.
	From string `cbor:"1,keyasint,omitempty"`
	// EnvelopeID and Return are ENVID and RET (RFC 3461 4.3, 4.4).
	EnvelopeID string `cbor:"2,keyasint,omitempty"`
	Return     string `cbor:"3,keyasint,omitempty"`
	// UTF8 says that SMTPUTF8 was given (RFC 6531).
	UTF8 bool `cbor:"4,keyasint,omitempty"`
	// ID names the message in logs and in its Received field.
	ID string `cbor:"5,keyasint,omitempty"`
	// MessageID is the field's value.
	MessageID string `cbor:"6,keyasint,omitempty"`
}

// Recipient is who a row ToRemote is for, or a scheduled row ToGroup.
type Recipient struct {
	Address string `cbor:"1,keyasint"`
	// NextHop is where the directory says the mailbox is, a host name or
	// host:port; "" is where the domain's mail goes.
	NextHop string `cbor:"2,keyasint,omitempty"`
	// Notify and Original are NOTIFY and ORCPT (RFC 3461 4.1, 4.2).
	Notify   []string `cbor:"3,keyasint,omitempty"`
	Original string   `cbor:"4,keyasint,omitempty"`
	// Others counts those beside Address, in a scheduled row ToGroup.
	Others uint32 `cbor:"5,keyasint,omitempty"`
	// Forwarded says that From is the reverse path, not the envelope's.
	Forwarded bool   `cbor:"6,keyasint,omitempty"`
	From      string `cbor:"7,keyasint,omitempty"`
}

// Heard is what became of an attempt.
type Heard struct {
	// Time is that of the courier, unix nanoseconds.
	Time int64 `cbor:"1,keyasint"`
	// Stage names how far it came, as RFC 5321 names commands.
	Stage string `cbor:"2,keyasint,omitempty"`
	// Host answered, at Address.
	Host    string `cbor:"3,keyasint,omitempty"`
	Address string `cbor:"4,keyasint,omitempty"`
	// Code, Status and Text are the reply; 0 where there was none, and Text is
	// what failed then.
	Code   int    `cbor:"5,keyasint,omitempty"`
	Status string `cbor:"6,keyasint,omitempty"`
	Text   string `cbor:"7,keyasint,omitempty"`
	// TLS says how the connection was protected, and by which policy.
	TLS string `cbor:"8,keyasint,omitempty"`
	// Local says that the failure is ours or our route's, not the recipient's.
	Local bool `cbor:"9,keyasint,omitempty"`
}

// maxText bounds the text that is kept of a reply.
const maxText = 1000

func place(what byte, x Ref) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{what}, x.Item[:]...), x.N)
}

// SealEnvelope seals an item's envelope.
func SealEnvelope(k *keys.DayKey, id command.ItemID, e *Envelope) []byte {
	return k.Seal(tables.Encode(e), place('e', Ref{Item: id}))
}

// OpenEnvelope is the inverse of SealEnvelope. KindDamaged: it does not open.
func OpenEnvelope(k *keys.DayKey, id command.ItemID, sealed []byte) (e Envelope, err error) {
	return open[Envelope](k, sealed, place('e', Ref{Item: id}))
}

// SealRecipient seals a row's recipient.
func SealRecipient(k *keys.DayKey, x Ref, r *Recipient) []byte {
	return k.Seal(tables.Encode(r), place('r', x))
}

// OpenRecipient is the inverse of SealRecipient. KindDamaged: it does not open.
func OpenRecipient(k *keys.DayKey, x Ref, sealed []byte) (Recipient, error) {
	return open[Recipient](k, sealed, place('r', x))
}

// SealHeard seals what was heard of a row; a long text is cut.
func SealHeard(k *keys.DayKey, x Ref, h Heard) []byte {
	h.Text = h.Text[:min(len(h.Text), maxText)]
	return k.Seal(tables.Encode(&h), place('h', x))
}

// OpenHeard is the inverse of SealHeard. KindDamaged: it does not open.
func OpenHeard(k *keys.DayKey, x Ref, sealed []byte) (Heard, error) {
	return open[Heard](k, sealed, place('h', x))
}

func open[T any](k *keys.DayKey, sealed, where []byte) (v T, err error) {
	plain, err := k.Open(sealed, where)
	if err == nil {
		err = tables.Decode(plain, &v)
	}
	return v, err
}
