package command

// HoldKind says who keeps stored bytes, and why.
type HoldKind uint8

// The kinds of holds. A kind that is not known keeps everything.
const (
	// HoldOperator is an operator's, for instance a legal hold.
	HoldOperator HoldKind = 1
	// HoldRestore is a restore point of the backup: a time to go back to.
	HoldRestore HoldKind = 2
	// HoldPin is of a restore or an export that is under way.
	HoldPin HoldKind = 3
)

// String names the kind for operators.
func (k HoldKind) String() string {
	switch k {
	case HoldOperator:
		return "hold"
	case HoldRestore:
		return "restore point"
	case HoldPin:
		return "pin"
	}
	return "unknown"
}

// Bounds of a hold.
const (
	MaxHoldName   = 128  // bytes
	MaxHoldReason = 1024 // bytes
)

// Hold keeps every dead pack whose life, from the arrival of its oldest body to
// its death, meets the interval From to To, group time in unix nanoseconds, both
// ends included; To 0 has no end yet, To equal to From is one restore point. Kind
// and Name together name it. What went before it was packed is not kept by it:
// that is the archive's. KindExists answers a name that is taken by another
// interval.
type Hold struct {
	Kind   HoldKind `cbor:"1,keyasint"`
	Name   string   `cbor:"2,keyasint"`
	From   int64    `cbor:"3,keyasint,omitempty"`
	To     int64    `cbor:"4,keyasint,omitempty"`
	Reason string   `cbor:"5,keyasint,omitempty"`
}

// Release ends a hold; it is idempotent.
type Release struct {
	Kind HoldKind `cbor:"1,keyasint"`
	Name string   `cbor:"2,keyasint"`
}

// RestoreWindow keeps every dead pack for a span after its death, in
// nanoseconds of group time, so that any instant of the span can be restored.
type RestoreWindow struct {
	Span int64 `cbor:"1,keyasint,omitempty"`
}

// NamePacks makes the names of packs expire: from here on a Packed is refused
// with KindConflict once its pack's name is older than Life, nanoseconds of
// group time, and the record of a deleted pack is kept as long. So an object
// that the group does not know under an expired name will never be known. A
// life that is in force is not changed.
type NamePacks struct {
	Life int64 `cbor:"1,keyasint"`
}

// PlaceHold records an operator's hold for the whole cluster. Mail groups get
// a Hold each; those that come later get theirs before they delete anything.
type PlaceHold struct {
	Hold Hold `cbor:"1,keyasint"`
	// Time is when it was placed, unix nanoseconds.
	Time int64 `cbor:"2,keyasint"`
}

// LiftHold ends an operator's hold; it is idempotent.
type LiftHold struct {
	Name string `cbor:"1,keyasint"`
}

// Swept records the end of an orphan sweep.
type Swept struct {
	// Time is when it ended, unix nanoseconds; an earlier one than that on
	// record is passed over.
	Time int64 `cbor:"1,keyasint"`
	// Objects and Bytes were orphans that it deleted.
	Objects uint64 `cbor:"2,keyasint,omitempty"`
	Bytes   int64  `cbor:"3,keyasint,omitempty"`
}

// Touches implements Command.
func (*Hold) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*Release) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*RestoreWindow) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*NamePacks) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*PlaceHold) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*LiftHold) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*Swept) Touches() Touch { return Touch{Kind: TouchNone} }
