package command

import (
	"math"
	"strings"

	"rookery"
)

// BodyID names a body within its group: the log index of its Deliver.
type BodyID = rookery.LogIndex

// PackID names a pack for ever.
type PackID string

// Time is when a pack was named, unix nanoseconds, which the first ten
// characters of its name tell: milliseconds in base 32, as a ULID in lower case
// has them. ok is false for names of another form.
func (id PackID) Time() (nanos int64, ok bool) {
	if len(id) != 26 {
		return 0, false
	}
	var ms int64
	for _, c := range []byte(id[:10]) {
		i := strings.IndexByte(PackIDDigits, c)
		if i < 0 {
			return 0, false
		}
		ms = ms<<5 | int64(i)
	}
	if ms > math.MaxInt64/1_000_000 {
		return 0, false
	}
	return ms * 1_000_000, true
}

// PackIDDigits are the digits of a pack's name.
const PackIDDigits = "0123456789abcdefghjkmnpqrstvwxyz"

// MaxPackID bounds a pack's name in bytes.
const MaxPackID = 128

// PackedBody is where a body lies in a pack.
type PackedBody struct {
	Body BodyID `cbor:"1,keyasint"`
	Off  int64  `cbor:"2,keyasint,omitempty"`
	Len  int64  `cbor:"3,keyasint,omitempty"`
}

// Packed records that a pack is durable in the object store. Each body still
// referenced gains the location and needs its log entries no longer; a body
// that lies in an older pack moves over (repacking).
type Packed struct {
	Pack   PackID       `cbor:"1,keyasint"`
	Size   int64        `cbor:"2,keyasint"`
	Bodies []PackedBody `cbor:"3,keyasint"`
}

// PackDead ends the life of a pack nothing points into; its object stays as
// long as restore points need it.
type PackDead struct {
	Pack PackID `cbor:"1,keyasint"`
}

// PackDeleted commits that a dead pack's object is about to be deleted.
type PackDeleted struct {
	Pack PackID `cbor:"1,keyasint"`
}

// PackForget drops the record of a deleted pack once its object is gone.
type PackForget struct {
	Pack PackID `cbor:"1,keyasint"`
}

// Touches implements Command.
func (*Packed) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*PackDead) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*PackDeleted) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*PackForget) Touches() Touch { return Touch{Kind: TouchBodies} }
