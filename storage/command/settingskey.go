package command

// SetSettingsKey says that a version of the key that seals the secrets of the
// settings is in use, once every node that lives has it; the key itself is
// never in a log. Versions only rise. It is idempotent; KindConflict: another
// key has that version, or a later one is in use.
type SetSettingsKey struct {
	Version uint32 `cbor:"1,keyasint"`
	// Fingerprint names the key.
	Fingerprint [16]byte `cbor:"2,keyasint"`
}

// Touches implements Command.
func (*SetSettingsKey) Touches() Touch { return Touch{Kind: TouchNone} }
