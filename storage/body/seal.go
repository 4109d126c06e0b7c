package body

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/message"
)

const (
	// sealFormat is the first byte of a sealed extract. The id of the dictionary
	// follows, a uvarint.
	sealFormat = 1
	// maxExtract bounds a serialised extract in bytes. The limits of
	// extraction keep it far below.
	maxExtract = 32 << 20
)

// extractCipher has not the chunks' key: what is sealed for state never opens as
// a piece of a body.
func extractCipher(key keys.MessageKey) cipher.AEAD { return key.Cipher("rookery extract") }

// Seal serialises, compresses and encrypts an extract under a key derived from
// the message key. Sealing twice gives different bytes: the nonce is random,
// since a message may be extracted again under its old key.
func Seal(e *message.Extract, key keys.MessageKey) []byte {
	buf := buffers.Get().(*chunkBuffer)
	defer buffers.Put(buf)
	plain := appendExtract(buf[:0], e)
	packed := make([]byte, 0, 64+len(plain))
	packed = binary.AppendUvarint(packed, uint64(len(plain)))
	packed = generic.pack(packed, plain)
	sealed := append(make([]byte, 0, 1+binary.MaxVarintLen32+nonceSize+len(packed)+tagSize), sealFormat)
	sealed = binary.AppendUvarint(sealed, uint64(Generic))
	return keys.SealRandom(extractCipher(key), sealed, packed, bytes.Clone(sealed))
}

// sealHead is the length of what stands before the nonce, 0 if it is not of a
// known format, and the dictionary it names.
func sealHead(sealed []byte) (n int, id DictionaryID) {
	if len(sealed) > 0 && sealed[0] == sealFormat {
		if v, k := binary.Uvarint(sealed[1:]); k > 0 && v <= 1<<32-1 {
			return 1 + k, DictionaryID(v)
		}
	}
	return 0, 0
}

// Open is the inverse of Seal. KindDamaged if a check fails; KindUnavailable if
// its dictionary comes with a newer program only. The Extract's Header shares no
// memory with sealed.
func Open(sealed []byte, key keys.MessageKey) (*message.Extract, error) {
	return open(sealed, key, parseExtract)
}

// OpenHeader opens no more of an extract than Version, Size, Header and
// HeaderTruncated; Structure is an empty part. It costs less than Open, which
// builds the rest. The errors are those of Open.
func OpenHeader(sealed []byte, key keys.MessageKey) (*message.Extract, error) {
	return open(sealed, key, parseHeader)
}

// open gives what parse makes of the serialised extract, which is overwritten
// afterwards.
func open(sealed []byte, key keys.MessageKey, parse func(plain []byte) (*message.Extract, bool)) (*message.Extract, error) {
	const op = "open extract"
	damaged := func(why string) (*message.Extract, error) {
		return nil, rookery.E(op, rookery.KindDamaged, errors.New("the extract "+why+": extract the message again"))
	}
	if len(sealed) == 0 {
		return damaged("is empty")
	}
	head, id := sealHead(sealed)
	if head == 0 {
		return damaged(fmt.Sprintf("has format %d, which this version does not know", sealed[0]))
	}
	d, err := findDictionary(op, id)
	if err != nil {
		return nil, err
	}
	in, out := buffers.Get().(*chunkBuffer), buffers.Get().(*chunkBuffer)
	defer buffers.Put(in)
	defer buffers.Put(out)
	packed, ok := keys.OpenRandom(extractCipher(key), in[:0], sealed[head:], sealed[:head])
	if !ok {
		return damaged("fails its check")
	}
	size, n := binary.Uvarint(packed)
	if n <= 0 || size > maxExtract {
		return damaged("has no size")
	}
	room := out[:0]
	if size > uint64(len(out)) {
		room = make([]byte, 0, size)
	}
	plain, ok := d.unpack(room, packed[n:])
	if !ok || uint64(len(plain)) != size {
		return damaged("does not unpack")
	}
	e, ok := parse(plain)
	if !ok {
		return damaged("is not of a known version")
	}
	return e, nil
}
