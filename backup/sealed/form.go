package sealed

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"

	"rookery"
)

// Kind is what an object is.
type Kind uint8

// The kinds.
const (
	Segment Kind = iota + 1
	ImagePart
	Image
	Checkpoint
)

// Place is where an object belongs: nowhere else does it open.
type Place struct {
	Cluster string
	Kind    Kind
	// Name is its key in the store.
	Name string
}

// Keys are the archive's keys, 32 bytes each.
type Keys interface {
	// Current is the version in use. KindUnavailable: there is none yet.
	Current(ctx context.Context) (version uint32, key []byte, err error)
	// Key is the key of a version. KindNotFound: it is unknown.
	Key(ctx context.Context, version uint32) (key []byte, err error)
}

// MaxFrame bounds a frame before compression, MaxObject an object, in bytes.
const (
	MaxFrame  = 4 << 20
	MaxObject = 256 << 20
)

const (
	format      = 1
	headMagic   = "RKBACK1\n"
	tailMagic   = "RKBKEND\n"
	saltSize    = 16
	trailerSize = 4 + 1 + 1 + 4 + saltSize + len(tailMagic)
)

// footer is what Finish writes of the frames, with the writer's own words.
type footer struct {
	Frames []frame `cbor:"1,keyasint"`
	Words  []byte  `cbor:"2,keyasint,omitempty"`
}

type frame struct {
	_   struct{} `cbor:",toarray"`
	Off int64
	Len int64
}

// trailer is the fixed end of an object.
type trailer struct {
	footer  uint32 // length of the sealed footer
	kind    Kind
	version uint32 // of the archive key
	salt    [saltSize]byte
}

func (t *trailer) encode() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, trailerSize), t.footer)
	b = append(b, format, byte(t.kind))
	b = binary.BigEndian.AppendUint32(b, t.version)
	return append(append(b, t.salt[:]...), tailMagic...)
}

func decodeTrailer(b []byte) (t trailer, err error) {
	switch {
	case len(b) != trailerSize || string(b[trailerSize-len(tailMagic):]) != tailMagic:
		return t, rookery.E("open", rookery.KindDamaged, fmt.Errorf("it is cut, or no object of a backup"))
	case b[4] > format:
		return t, rookery.E("open", rookery.KindUnavailable,
			fmt.Errorf("it was written by a newer version of rookery (format %d, this one reads %d): use that version", b[4], format))
	}
	t.footer, t.kind, t.version = binary.BigEndian.Uint32(b), Kind(b[5]), binary.BigEndian.Uint32(b[6:])
	copy(t.salt[:], b[10:])
	return t, nil
}

// opener seals and opens the frames of one object.
type opener struct {
	aead  cipher.AEAD
	bound [sha256.Size]byte
}

// open makes an object's opener; t's length of the footer does not count.
func (p *Place) open(t *trailer, key []byte) (*opener, error) {
	own, err := hkdf.Key(sha256.New, key, t.salt[:], "rookery archive object", 32)
	if err != nil {
		return nil, rookery.E("open", rookery.KindInvalid, err)
	}
	defer clear(own)
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, rookery.E("open", rookery.KindInvalid, err)
	}
	o := new(opener)
	o.bound = sha256.Sum256(fmt.Appendf(nil, "%d\x00%d\x00%d\x00%x\x00%s\x00%s", format, t.kind, t.version, t.salt, p.Cluster, p.Name))
	o.aead, err = cipher.NewGCM(block)
	return o, err
}

// nonce is a frame's number: an object's key seals nothing else. The footer's has
// its highest bit.
func nonce(n int, last bool) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[4:], uint64(n))
	if last {
		b[0] = 0x80
	}
	return b
}

var coding, _ = cbor.DecOptions{
	MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 20, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
}.DecMode()

// The codecs are kept for later: each costs more to make than to use.
var encoders, decoders sync.Pool

func compress(plain []byte) []byte {
	e, _ := encoders.Get().(*zstd.Encoder)
	if e == nil {
		e, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
			zstd.WithAllLitEntropyCompression(true))
	}
	defer encoders.Put(e)
	return e.EncodeAll(plain, nil)
}

func decompress(b []byte) ([]byte, error) {
	d, _ := decoders.Get().(*zstd.Decoder)
	if d == nil {
		d, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxObject))
	}
	defer decoders.Put(d)
	return d.DecodeAll(b, nil)
}
