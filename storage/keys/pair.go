package keys

import (
	"crypto/hpke"
	"errors"

	"rookery"
)

// A pair seals what only who keeps its private half can open: HPKE (RFC 9180) in base
// mode, with X25519 and ML-KEM-768 together, HKDF-SHA-256 and AES-256-GCM. What was
// sealed years ago stays closed to whom a quantum computer helps.

// pairInfo binds what is sealed to its purpose.
const pairInfo = "rookery keys for the recovery kit"

// NewPair makes a pair. The private half is a seed of 32 bytes.
func NewPair() (public, private []byte, err error) {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, nil, rookery.E("make key pair", rookery.KindUnavailable, err)
	}
	if private, err = key.Bytes(); err != nil {
		return nil, nil, rookery.E("make key pair", rookery.KindUnavailable, err)
	}
	return key.PublicKey().Bytes(), private, nil
}

// SealTo closes a secret for who has the private half.
func SealTo(public, secret []byte) ([]byte, error) {
	const op = "seal to public key"
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(pairInfo), secret)
	if err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	return sealed, nil
}

// OpenWith opens what SealTo closed. KindDamaged: it was sealed to another public half,
// or changed.
func OpenWith(private, sealed []byte) ([]byte, error) {
	const op = "open with private key"
	key, err := hpke.MLKEM768X25519().NewPrivateKey(private)
	if err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, errors.New("it is no private key of a pair"))
	}
	secret, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(pairInfo), sealed)
	if err != nil {
		return nil, rookery.E(op, rookery.KindDamaged, errors.New("it was sealed to another key, or changed"))
	}
	return secret, nil
}
