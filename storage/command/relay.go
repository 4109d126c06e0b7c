package command

// The bounds of AddRelay; a name has MaxRelayName bytes.
const (
	MaxRelays       = 10_000
	MaxRelayName    = 32
	MaxRelaySenders = 100
)

// AddRelay makes a credential that lets an application or device relay;
// KindExists: the name is taken.
type AddRelay struct {
	Name string `cbor:"1,keyasint"`
	// Hash is the SHA-256 of the secret, which is 256 random bits: nobody guesses
	// those, so a slow hash would protect nothing more.
	Hash [32]byte `cbor:"2,keyasint"`
	// Senders are what it may name as senders, as protocols/relay reads them.
	Senders []string `cbor:"3,keyasint,omitempty"`
	// Rate is how many recipients it may name in an hour; 0 is no bound.
	Rate uint32 `cbor:"4,keyasint,omitempty"`
}

// RemoveRelay takes one away; KindNotFound: there is none of the name.
type RemoveRelay struct {
	Name string `cbor:"1,keyasint"`
}

// Touches implements Command.
func (*AddRelay) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*RemoveRelay) Touches() Touch { return Touch{Kind: TouchNone} }
