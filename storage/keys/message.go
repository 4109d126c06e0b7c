package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
)

// MessageKey encrypts one message's body and extract. It is random, belongs to
// the content (every account that has a copy wraps the same key), and printing
// it shows nothing.
type MessageKey [32]byte

// NewMessageKey makes a random key.
func NewMessageKey() (key MessageKey) {
	rand.Read(key[:])
	return key
}

// Format shows no key, whatever the verb.
func (MessageKey) Format(s fmt.State, _ rune) { io.WriteString(s, "message key") }

// LogValue shows no key.
func (MessageKey) LogValue() slog.Value { return slog.StringValue("message key") }

// MarshalText shows no key to encoders of text and JSON.
func (MessageKey) MarshalText() ([]byte, error) { return []byte("message key"), nil }

// Cipher is AES-256-GCM under a key derived from the message's for one purpose.
func (k MessageKey) Cipher(purpose string, salt ...byte) cipher.AEAD {
	return newGCM(derive(k[:], purpose, salt...))
}

// Digest is an HMAC-SHA-256 of data under a key derived from the message's for
// one purpose.
func (k MessageKey) Digest(purpose string, data []byte) (out [32]byte) {
	key := derive(k[:], purpose)
	m := hmac.New(sha256.New, key[:])
	m.Write(data)
	m.Sum(out[:0])
	return out
}

// derive makes a key for one purpose out of another, so that no key is ever
// used for two things.
func derive(key []byte, purpose string, salt ...byte) (out [32]byte) {
	m := hmac.New(sha256.New, key)
	io.WriteString(m, purpose)
	m.Write([]byte{0})
	m.Write(salt)
	m.Sum(out[:0])
	return out
}

func newGCM(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("keys: AES refuses a key of 32 bytes: " + err.Error())
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("keys: AES has no GCM: " + err.Error())
	}
	return gcm
}

const (
	nonceLen = 12
	tagLen   = 16
)

// SealRandom appends a random nonce and the sealed plain to dst.
func SealRandom(gcm cipher.AEAD, dst, plain, aad []byte) []byte {
	var nonce [nonceLen]byte
	rand.Read(nonce[:])
	dst = append(dst, nonce[:]...)
	return gcm.Seal(dst, nonce[:], plain, aad)
}

// OpenRandom is the inverse of SealRandom: it appends the plain text to dst, and
// says false if the check fails.
func OpenRandom(gcm cipher.AEAD, dst, sealed, aad []byte) ([]byte, bool) {
	if len(sealed) < nonceLen+tagLen {
		return nil, false
	}
	plain, err := gcm.Open(dst, sealed[:nonceLen], sealed[nonceLen:], aad)
	return plain, err == nil
}
