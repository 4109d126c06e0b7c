package command

// AuthorityState is how far a certificate authority of the cluster is.
type AuthorityState uint8

// The states, in the order in which an authority goes through them.
const (
	// AuthorityTrusted is one that every node is to trust; none issues by it yet.
	AuthorityTrusted AuthorityState = iota + 1
	// AuthorityInUse is the one that issues certificates.
	AuthorityInUse
	// AuthorityDropped is one that nobody is to trust any more.
	AuthorityDropped
)

// MaxAuthority bounds the certificate of an authority in bytes.
const MaxAuthority = 4 << 10

// SetAuthority moves a certificate authority of the cluster to a state; its key
// is never in a log. Versions and states only rise. It is idempotent.
// KindConflict: that version is another authority or further on, another change
// is under way, or none that is in use would be left.
type SetAuthority struct {
	Version uint32 `cbor:"1,keyasint"`
	// Fingerprint names the key.
	Fingerprint [16]byte `cbor:"2,keyasint"`
	// Certificate is the authority's, DER.
	Certificate []byte         `cbor:"3,keyasint"`
	State       AuthorityState `cbor:"4,keyasint"`
}

// Touches implements Command.
func (*SetAuthority) Touches() Touch { return Touch{Kind: TouchNone} }

// NoteKit says which keys the recovery kit has that was written last. It is
// idempotent; one that has older keys than the noted is left out.
type NoteKit struct {
	Tenant    uint32 `cbor:"1,keyasint"`
	Settings  uint32 `cbor:"2,keyasint"`
	Authority uint32 `cbor:"3,keyasint"`
	// Made is when it was written, unix seconds of the machine that did.
	Made int64 `cbor:"4,keyasint"`
	// Public is the public half of the kit's key pair.
	Public []byte `cbor:"5,keyasint,omitempty"`
	// Alone says that the kit has only the private half: the keys themselves lie in
	// the backup store.
	Alone bool `cbor:"6,keyasint,omitempty"`
}

// MaxKitKey bounds the public half, in bytes.
const MaxKitKey = 4 << 10

// Touches implements Command.
func (*NoteKit) Touches() Touch { return Touch{Kind: TouchNone} }
