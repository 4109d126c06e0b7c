package body

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"rookery"
)

// AccountKey wraps the message keys of one account and makes its thread
// tokens. It is safe for concurrent use, and printing it shows nothing.
//
// An account's keys follow each other in generations, counted from 0. While
// one takes over from another, both open what they wrapped.
type AccountKey struct {
	wrap       cipher.AEAD
	thread     [32]byte
	generation uint32
	old        *AccountKey // of the generation before; nil when nothing needs it
}

// newAccountKey makes a key of its 32 secret bytes, behind which the secret of
// the thread tokens follows where it is an older key's.
func newAccountKey(key []byte, generation uint32) *AccountKey {
	a := &AccountKey{wrap: newGCM(derive(key[:32], "rookery message key wrap")), generation: generation}
	a.thread = threadSecret(key)
	return a
}

// threadSecret stays the same through all generations of an account's key:
// tokens of one conversation must meet.
func threadSecret(key []byte) [32]byte {
	if len(key) == 64 {
		return [32]byte(key[32:])
	}
	return derive(key, "rookery thread tokens")
}

// Generation counts the account's keys.
func (a *AccountKey) Generation() uint32 { return a.generation }

func messageAAD(id rookery.EmailID) []byte {
	return append([]byte("rookery message key\x00"), id[:]...)
}

// WrappedMessageKeyLen is the length in bytes of what WrapMessage gives with a
// key of generation 0; later ones add 1 to 5 bytes.
const WrappedMessageKeyLen = 1 + 12 + 32 + 16

// generationFormat is the first byte of a message key that is wrapped by an
// account key of a generation above 0, which follows.
const generationFormat = 2

// MessageKeyGeneration is the generation of the account key that wraps a
// message key; 0 also for what is no wrapped message key.
func MessageKeyGeneration(wrapped []byte) uint32 {
	generation, _ := messageHead(wrapped)
	return generation
}

// messageHead reads the head of a wrapped message key and its length, 0 for
// an unknown format.
func messageHead(wrapped []byte) (generation uint32, head int) {
	switch {
	case len(wrapped) == 0:
		return 0, 0
	case wrapped[0] == wrapFormat:
		return 0, 1
	case wrapped[0] != generationFormat:
		return 0, 0
	}
	g, n := binary.Uvarint(wrapped[1:])
	if n <= 0 || g == 0 || g > 1<<32-1 {
		return 0, 0
	}
	return uint32(g), 1 + n
}

// WrapMessage wraps a message's key for this account and that message.
func (a *AccountKey) WrapMessage(id rookery.EmailID, key MessageKey) []byte {
	out := make([]byte, 0, WrappedMessageKeyLen+binary.MaxVarintLen32)
	if a.generation == 0 {
		out = append(out, wrapFormat)
	} else {
		out = binary.AppendUvarint(append(out, generationFormat), uint64(a.generation))
	}
	return sealRandom(a.wrap, out, key[:], messageAAD(id))
}

// UnwrapMessage is the inverse of WrapMessage. KindDamaged if it does not open
// for this account and that message.
func (a *AccountKey) UnwrapMessage(id rookery.EmailID, wrapped []byte) (MessageKey, error) {
	const op = "open message key"
	generation, head := messageHead(wrapped)
	if head == 0 || len(wrapped) != head+nonceLen+32+tagLen {
		return MessageKey{}, rookery.E(op, rookery.KindDamaged, errors.New("the wrapped key is not of a known format"))
	}
	for a != nil && a.generation != generation {
		a = a.old
	}
	if a == nil {
		return MessageKey{}, rookery.E(op, rookery.KindDamaged,
			fmt.Errorf("the key of message %s is wrapped by generation %d of its account's key, which is gone", id, generation))
	}
	plain, ok := openRandom(a.wrap, wrapped[head:], messageAAD(id))
	if !ok {
		return MessageKey{}, rookery.E(op, rookery.KindDamaged, fmt.Errorf("the key of message %s does not open with its account's key", id))
	}
	return MessageKey(plain), nil
}

// Rewrap wraps a message's key anew by the newest of the account's keys.
func (a *AccountKey) Rewrap(id rookery.EmailID, wrapped []byte) ([]byte, error) {
	key, err := a.UnwrapMessage(id, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	return a.WrapMessage(id, key), nil
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
