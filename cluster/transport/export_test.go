package transport

import "crypto/sha256"

// Fingerprint is the SHA-256 of the certificate, as tokens carry it.
func (a *Authority) Fingerprint() [32]byte { return sha256.Sum256(a.cert.Raw) }
