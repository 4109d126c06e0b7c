package command

// Trace is what is known of a message when it is accepted, for who asks later
// what became of it.
type Trace struct {
	// Day is the day whose key seals the lines.
	Day uint32 `cbor:"1,keyasint"`
	// Lines are sealed, at most MaxTraceLines of MaxSealed bytes.
	Lines [][]byte `cbor:"2,keyasint,omitempty"`
}

// MaxTraceLines bounds the lines of one message's trace.
const MaxTraceLines = 200

// DropTrace drops lines of the trace from before a group time, unix nanoseconds,
// the oldest first, at most Most.
type DropTrace struct {
	Before int64  `cbor:"1,keyasint"`
	Most   uint32 `cbor:"2,keyasint"`
}

// Touches implements Command.
func (*DropTrace) Touches() Touch { return Touch{Kind: TouchNone} }
