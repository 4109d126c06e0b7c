package keys

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"rookery"
)

// DayKey seals what a mail group keeps on one day for others than its accounts:
// addresses and message keys of mail on its way to other systems. It goes when
// nothing of its day is left. It is safe for concurrent use, and printing it
// shows nothing.
type DayKey struct {
	message, text cipher.AEAD
}

func newDayKey(key []byte) *DayKey {
	return &DayKey{message: newGCM(derive(key, "rookery message key wrap of a day")), text: newGCM(derive(key, "rookery text of a day"))}
}

// Day counts a group's days from 1970-01-01 UTC.
type Day uint32

func dayKey(group rookery.GroupID, day Day) wrappable {
	return wrappable{fmt.Sprintf("day %d of group %d", day, group), func(version uint32) []byte {
		b := append([]byte(nil), "rookery day key\x00"...)
		b = binary.BigEndian.AppendUint32(b, uint32(group))
		b = binary.BigEndian.AppendUint32(b, uint32(day))
		return binary.BigEndian.AppendUint32(b, version)
	}}
}

// NewDayKey makes a random key for a day of a group, wrapped by the tenant key
// in use.
func (k *Keyring) NewDayKey(group rookery.GroupID, day Day) (wrapped []byte, err error) {
	var key [32]byte
	rand.Read(key[:])
	defer clear(key[:])
	return k.wrap(dayKey(group, day), key[:])
}

// OpenDay unwraps a day's key, with the errors of OpenAccount.
func (k *Keyring) OpenDay(group rookery.GroupID, day Day, wrapped []byte) (*DayKey, error) {
	plain, err := k.unwrap(dayKey(group, day), wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return newDayKey(plain), nil
}

// RewrapDay wraps a day's key anew, under the current tenant key.
func (k *Keyring) RewrapDay(group rookery.GroupID, day Day, wrapped []byte) ([]byte, error) {
	return k.rewrap(dayKey(group, day), wrapped)
}

// WrapMessage wraps a message's key.
func (d *DayKey) WrapMessage(id rookery.EmailID, key MessageKey) []byte {
	out := append(make([]byte, 0, WrappedMessageKeyLen), wrapFormat)
	return SealRandom(d.message, out, key[:], messageAAD(id))
}

// UnwrapMessage is the inverse of WrapMessage. KindDamaged if it does not open.
func (d *DayKey) UnwrapMessage(id rookery.EmailID, wrapped []byte) (MessageKey, error) {
	if len(wrapped) == WrappedMessageKeyLen && wrapped[0] == wrapFormat {
		if plain, ok := OpenRandom(d.message, nil, wrapped[1:], messageAAD(id)); ok {
			return MessageKey(plain), nil
		}
	}
	return MessageKey{}, rookery.E("open message key", rookery.KindDamaged,
		fmt.Errorf("the key of message %s does not open with its day's key", id))
}

// Seal seals text; where binds it to its place.
func (d *DayKey) Seal(text, where []byte) []byte {
	return SealRandom(d.text, []byte{wrapFormat}, text, where)
}

// Open is the inverse of Seal. KindDamaged if it does not open there.
func (d *DayKey) Open(sealed, where []byte) ([]byte, error) {
	if len(sealed) > 0 && sealed[0] == wrapFormat {
		if plain, ok := OpenRandom(d.text, nil, sealed[1:], where); ok {
			return plain, nil
		}
	}
	return nil, rookery.E("open text of a day", rookery.KindDamaged, errors.New("it does not open with the day's key"))
}

// Format shows no key, whatever the verb.
func (d *DayKey) Format(s fmt.State, _ rune) { io.WriteString(s, "day key") }

// LogValue shows no key, for slog.
func (d *DayKey) LogValue() slog.Value { return slog.StringValue("day key") }
