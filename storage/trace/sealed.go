package trace

import (
	"encoding/binary"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/tables"
)

// Facts are what was known of a message when it was accepted.
type Facts struct {
	// ID names the message in logs and in its Received field.
	ID string `cbor:"1,keyasint,omitempty"`
	// From is the reverse path; To are recipients, those of all lines together.
	From string   `cbor:"2,keyasint,omitempty"`
	To   []string `cbor:"3,keyasint,omitempty"`
	// MessageID is the field's value, without brackets.
	MessageID string `cbor:"4,keyasint,omitempty"`
	// Client is the address that gave it to us, Hello what it called itself, User
	// who had signed in.
	Client string `cbor:"5,keyasint,omitempty"`
	Hello  string `cbor:"6,keyasint,omitempty"`
	User   string `cbor:"7,keyasint,omitempty"`
	// Protocol is the "with" of the Received field, TLS its version and cipher.
	Protocol string `cbor:"8,keyasint,omitempty"`
	TLS      string `cbor:"9,keyasint,omitempty"`
	// Node took it, in the session that Session names in the log.
	Node    string `cbor:"10,keyasint,omitempty"`
	Session string `cbor:"11,keyasint,omitempty"`
	// Size is that of the message, in bytes.
	Size int64 `cbor:"12,keyasint,omitempty"`
	// Verdict is what was decided where that is not the INBOX, and why.
	Verdict string `cbor:"13,keyasint,omitempty"`
}

// Lengths of what facts hold, in bytes: one text, and the recipients of a line.
const (
	maxText = 120
	maxTo   = 260
)

// Seal seals facts in as many lines as their recipients take.
func Seal(k *keys.DayKey, email rookery.EmailID, f Facts) (lines [][]byte) {
	for _, s := range []*string{&f.MessageID, &f.Client, &f.Hello, &f.User, &f.TLS, &f.Session, &f.Verdict} {
		*s = (*s)[:min(len(*s), maxText)]
	}
	all := f.To
	for {
		n, size := 0, 0
		for n < len(all) && (n == 0 || size+len(all[n]) <= maxTo) {
			size += len(all[n])
			n++
		}
		f.To, all = all[:n], all[n:]
		lines = append(lines, k.Seal(tables.Encode(&f), place(email, len(lines))))
		if len(all) == 0 {
			return lines
		}
		f = Facts{}
	}
}

// Open is the inverse of Seal for one line. KindDamaged: it does not open.
func (l *Line) Open(k *keys.DayKey) (f Facts, err error) {
	plain, err := k.Open(l.Facts, place(l.Email, int(l.N)))
	if err == nil {
		err = tables.Decode(plain, &f)
	}
	return f, err
}

func place(email rookery.EmailID, n int) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{'t'}, email[:]...), uint32(n))
}
