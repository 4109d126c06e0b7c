package directory

// Standing is how an entry stands with its directory.
type Standing uint8

// The ways to stand.
const (
	// Present: it is there, and not disabled.
	Present Standing = iota + 1
	// Disabled: it is there, and must not sign in.
	Disabled
	// Gone: the directory says for certain that it is not there.
	Gone
)
