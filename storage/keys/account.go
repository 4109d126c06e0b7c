package keys

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"rookery"
)

// AccountKey wraps the message keys of one account and makes its thread
// tokens. It is safe for concurrent use, and printing it shows nothing.
type AccountKey struct {
	wrap   cipher.AEAD
	thread [32]byte
}

// newAccountKey makes a key of its 32 secret bytes.
func newAccountKey(key []byte) *AccountKey {
	return &AccountKey{wrap: newGCM(derive(key, "rookery message key wrap")), thread: derive(key, "rookery thread tokens")}
}

func messageAAD(id rookery.EmailID) []byte {
	return append([]byte("rookery message key\x00"), id[:]...)
}

// WrappedMessageKeyLen is the length in bytes of what WrapMessage gives.
const WrappedMessageKeyLen = 1 + 12 + 32 + 16

// WrapMessage wraps a message's key for this account and that message.
func (a *AccountKey) WrapMessage(id rookery.EmailID, key MessageKey) []byte {
	out := append(make([]byte, 0, WrappedMessageKeyLen), wrapFormat)
	return SealRandom(a.wrap, out, key[:], messageAAD(id))
}

// UnwrapMessage is the inverse of WrapMessage. KindDamaged if it does not open
// for this account and that message.
func (a *AccountKey) UnwrapMessage(id rookery.EmailID, wrapped []byte) (MessageKey, error) {
	const op = "open message key"
	if len(wrapped) != WrappedMessageKeyLen || wrapped[0] != wrapFormat {
		return MessageKey{}, rookery.E(op, rookery.KindDamaged, errors.New("the wrapped key is not of a known format"))
	}
	plain, ok := OpenRandom(a.wrap, nil, wrapped[1:], messageAAD(id))
	if !ok {
		return MessageKey{}, rookery.E(op, rookery.KindDamaged, fmt.Errorf("the key of message %s does not open with its account's key", id))
	}
	return MessageKey(plain), nil
}

// TokenKind keeps the tokens of different things apart.
type TokenKind uint8

// The kinds of thread tokens.
const (
	TokenMessageID TokenKind = 1
	TokenSubject   TokenKind = 2
)

// ThreadToken is a keyed, truncated digest of s: equal for equal strings of one
// account, telling nothing without its key.
func (a *AccountKey) ThreadToken(kind TokenKind, s string) (t [8]byte) {
	m := hmac.New(sha256.New, a.thread[:])
	m.Write([]byte{byte(kind)})
	m.Write([]byte(s))
	copy(t[:], m.Sum(nil))
	return t
}

// Format shows no key, whatever the verb.
func (a *AccountKey) Format(s fmt.State, _ rune) { io.WriteString(s, "account key") }

// LogValue shows no key, for slog.
func (a *AccountKey) LogValue() slog.Value { return slog.StringValue("account key") }
