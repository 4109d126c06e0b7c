package body

// Seal serialises, compresses and encrypts an extract under a key derived from
// the message key.
func Seal(e *Extract, key MessageKey) []byte { panic("unwritten") }

// Open is the inverse of Seal. KindDamaged if a check fails.
func Open(sealed []byte, key MessageKey) (*Extract, error) { panic("unwritten") }
