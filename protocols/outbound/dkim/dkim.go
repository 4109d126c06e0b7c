// Package dkim signs outgoing messages (RFC 6376, RFC 8463) with an RSA and an
// Ed25519 key beside one another. It owns what is signed and how: the signing
// domain that a message's From asks for, the header fields, the signature
// fields; and the life of keys: pairs, selectors, the records to publish, and
// when one follows another.
//
// It never verifies mail of others, keeps no key (who calls seals what MarshalKey
// gives), asks no DNS and has no clock. It never changes a message: it gives the
// fields to stand above it, so it runs after the last edit. It never signs a part
// of a body alone (l=).
//
// The signer is not the one of go-msgauth, which verifies in tests: that one
// hashes the body once for each key, holds the header and runs of empty lines in
// memory without a bound, and reads a clock of its own.
package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"time"

	"rookery"
)

// The bounds of signing.
const (
	// MaxHeader bounds the header block of a message in bytes.
	MaxHeader = 1 << 20
	// MaxSigned bounds the header fields that a signature covers.
	MaxSigned = 100
	// MaxKeys bounds the keys that sign a message.
	MaxKeys = 4
)

// Key is a private key and the selector under which its record is published.
type Key struct {
	Selector string
	// Private is an *rsa.PrivateKey or an ed25519.PrivateKey, or signs as one.
	Private crypto.Signer
}

// Signer signs messages of one domain.
type Signer struct {
	// Domain is d=, as A-labels.
	Domain string
	// Keys sign beside one another; each gives a field.
	Keys []Key
	// Lifetime is how long a signature is valid (x=); without end if zero. It
	// must be longer than a message may be queued.
	Lifetime time.Duration
}

// errUnsignable is in the chain where a message cannot be signed as it is.
var errUnsignable = errors.New("the message cannot be signed")

// Sign reads a message to its end and gives its DKIM-Signature fields, one a
// key, each ending in CRLF, to be put above it. at becomes t=. The header is held
// in memory, the body is not.
//
// Errors: KindInvalid for a CR or LF that stands alone (a signature over it would
// not outlive the next hop) and for more than MaxSigned fields to sign;
// KindTooLarge for a header beyond MaxHeader; KindUnknown, or the reader's kind,
// where reading or a key fails.
func (s *Signer) Sign(message io.Reader, at time.Time) ([]byte, error) {
	fields, err := s.sign(message, at)
	if err != nil {
		return nil, rookery.E("sign with DKIM for "+s.Domain, rookery.KindOf(err), err)
	}
	return fields, nil
}

func (s *Signer) sign(message io.Reader, at time.Time) ([]byte, error) {
	if len(s.Keys) == 0 || len(s.Keys) > MaxKeys {
		return nil, fmt.Errorf("%d keys, want 1 to %d", len(s.Keys), MaxKeys)
	}
	m, err := read(message)
	if err != nil {
		return nil, err
	}
	covered, names, err := pick(m.fields)
	if err != nil {
		return nil, err
	}
	var out []byte
	for _, key := range s.Keys {
		field, err := s.field(key, at, m.bodyHash, covered, names)
		if err != nil {
			return nil, fmt.Errorf("selector %s: %w", key.Selector, err)
		}
		out = append(out, field...)
	}
	return out, nil
}

// algorithm is the value of a= for a key, and what its Sign wants to know.
func algorithm(private crypto.Signer) (name string, opts crypto.SignerOpts, err error) {
	switch private.Public().(type) {
	case *rsa.PublicKey:
		return "rsa-sha256", crypto.SHA256, nil
	case ed25519.PublicKey:
		return "ed25519-sha256", crypto.Hash(0), nil
	}
	return "", nil, fmt.Errorf("a %T signs nothing here", private.Public())
}

// unsignable is an error of a message that is malformed.
func unsignable(format string, args ...any) error {
	return rookery.E("read it", rookery.KindInvalid, fmt.Errorf("%w: %w", errUnsignable, fmt.Errorf(format, args...)))
}
