package command

// MaxSTSNames bounds the names of a policy, in bytes with one for each besides.
const MaxSTSNames = 8 << 10

// KeepSTS keeps the MTA-STS policy of a domain (RFC 8461), in place of the one
// there is. Mode is that of protocols/outbound/tlspolicy; no machine acts on it.
type KeepSTS struct {
	Domain string   `cbor:"1,keyasint"`
	ID     string   `cbor:"2,keyasint"`
	Mode   uint8    `cbor:"3,keyasint,omitempty"`
	MX     []string `cbor:"4,keyasint,omitempty"`
	// MaxAge is how long it counts, in seconds.
	MaxAge uint32 `cbor:"5,keyasint"`
}

// Touches implements Command.
func (*KeepSTS) Touches() Touch { return Touch{Kind: TouchNone} }
