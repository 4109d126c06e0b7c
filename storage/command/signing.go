package command

// The bounds of SetSigningKeys, in bytes but for MaxSigningKeys.
const (
	MaxSigningKeys = 32
	// MaxSelector is that of a label in the DNS (RFC 1035 2.3.4).
	MaxSelector = 63
	// MaxSigningRecord and MaxSealedKey fit an RSA key of 4,096 bits.
	MaxSigningRecord = 2 << 10
	MaxSealedKey     = 8 << 10
)

// SetSigningKeys replaces the DKIM keys of a domain, all of them, if they still
// have the version expected (0: none yet), else KindConflict.
type SetSigningKeys struct {
	// Domain is a mail domain, as A-labels.
	Domain  string       `cbor:"1,keyasint,omitempty"`
	Version uint64       `cbor:"2,keyasint,omitempty"`
	Keys    []SigningKey `cbor:"3,keyasint,omitempty"`
}

// SigningKey is one DKIM key. Kind and State are those of protocols/outbound/dkim;
// no machine acts on them.
type SigningKey struct {
	Selector string `cbor:"1,keyasint"`
	Kind     uint8  `cbor:"2,keyasint"`
	State    uint8  `cbor:"3,keyasint"`
	// Since is when it came into the state, Seen since when its record has been
	// seen in the DNS, 0 while it has not: unix nanoseconds of the clock of the
	// node that proposed it.
	Since int64 `cbor:"4,keyasint"`
	Seen  int64 `cbor:"5,keyasint,omitempty"`
	// Record is what is published.
	Record string `cbor:"6,keyasint"`
	// Sealed is the private key, sealed under the settings key.
	Sealed string `cbor:"7,keyasint"`
}

// Touches implements Command.
func (*SetSigningKeys) Touches() Touch { return Touch{Kind: TouchNone} }

// MaxArchiveKeys bounds the keys of the archive.
const MaxArchiveKeys = 64

// SetArchiveKeys replaces the keys of the archive, all of them, versions 1 and up, if
// they still have the version expected (0: none yet), else KindConflict.
type SetArchiveKeys struct {
	Version uint64       `cbor:"1,keyasint,omitempty"`
	Keys    []ArchiveKey `cbor:"2,keyasint,omitempty"`
}

// ArchiveKey is one, sealed under the settings key.
type ArchiveKey struct {
	Version uint32 `cbor:"1,keyasint"`
	Sealed  string `cbor:"2,keyasint"`
}

// Touches implements Command.
func (*SetArchiveKeys) Touches() Touch { return Touch{Kind: TouchNone} }
