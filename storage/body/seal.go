package body

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rookery"
)

const (
	// sealFormat is the first byte of a sealed extract.
	sealFormat = 1
	// maxExtract bounds a serialised extract in bytes. The limits of
	// extraction keep it far below.
	maxExtract = 32 << 20
)

// extractKey is not the chunks' key: what is sealed for state never opens as a
// piece of a body.
func extractKey(key MessageKey) [32]byte { return derive(key[:], "rookery extract") }

// Seal serialises, compresses and encrypts an extract under a key derived from
// the message key. Sealing twice gives different bytes: the nonce is random,
// since a message may be extracted again under its old key.
func Seal(e *Extract, key MessageKey) []byte {
	buf := buffers.Get().(*chunkBuffer)
	defer buffers.Put(buf)
	plain := appendExtract(buf[:0], e)
	packed := make([]byte, 0, 64+len(plain))
	packed = binary.AppendUvarint(packed, uint64(len(plain)))
	packed = pack(packed, plain)
	sealed := make([]byte, 0, 1+nonceLen+len(packed)+tagLen)
	return sealRandom(newGCM(extractKey(key)), append(sealed, sealFormat), packed, []byte{sealFormat})
}

// Open is the inverse of Seal. KindDamaged if a check fails. The Extract's
// Header shares no memory with sealed.
func Open(sealed []byte, key MessageKey) (*Extract, error) { return open(sealed, key, parseExtract) }

// OpenHeader opens no more of an extract than Version, Size, Header and
// HeaderTruncated; Structure is an empty part. It costs less than Open, which
// builds the rest. KindDamaged if a check fails.
func OpenHeader(sealed []byte, key MessageKey) (*Extract, error) {
	return open(sealed, key, parseHeader)
}

// open gives what parse makes of the serialised extract, which is overwritten
// afterwards.
func open(sealed []byte, key MessageKey, parse func(plain []byte) (*Extract, bool)) (*Extract, error) {
	const op = "open extract"
	damaged := func(why string) (*Extract, error) {
		return nil, rookery.E(op, rookery.KindDamaged, errors.New("the extract "+why+": extract the message again"))
	}
	if len(sealed) == 0 {
		return damaged("is empty")
	}
	if sealed[0] != sealFormat {
		return damaged(fmt.Sprintf("has format %d, not %d", sealed[0], sealFormat))
	}
	in, out := buffers.Get().(*chunkBuffer), buffers.Get().(*chunkBuffer)
	defer buffers.Put(in)
	defer buffers.Put(out)
	packed, ok := openRandomTo(newGCM(extractKey(key)), in[:0], sealed[1:], sealed[:1])
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
	plain, ok := unpack(room, packed[n:])
	if !ok || uint64(len(plain)) != size {
		return damaged("does not unpack")
	}
	e, ok := parse(plain)
	if !ok {
		return damaged("is not of a known version")
	}
	return e, nil
}
