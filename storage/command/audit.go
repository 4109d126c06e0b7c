package command

// Bounds of an audit row, in bytes.
const (
	MaxAuditName = 128  // of the user, the node and the verb
	MaxAuditText = 2048 // of the arguments, and of the outcome
)

// AuditCall records that an administrator is about to change something, before
// the change is begun. The answer is an AuditResult.
type AuditCall struct {
	// User is the Unix user who called, and Node the name of the node called.
	User string `cbor:"1,keyasint"`
	Node string `cbor:"2,keyasint"`
	// Verb is what was called for, with its arguments, which hold no secrets.
	Verb string `cbor:"3,keyasint"`
	Args string `cbor:"4,keyasint,omitempty"`
}

// AuditOutcome records how a call ended. One whose row is gone already, or has
// an outcome, is passed over.
type AuditOutcome struct {
	Call    uint64 `cbor:"1,keyasint"`
	Outcome string `cbor:"2,keyasint"`
}

// AuditResult answers AuditCall with the number of the row, which AuditOutcome
// names.
type AuditResult struct {
	Call uint64 `cbor:"1,keyasint"`
}

// Touches implements Command.
func (*AuditCall) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*AuditOutcome) Touches() Touch { return Touch{Kind: TouchNone} }
