package body

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"rookery"
)

// MaxDictionary bounds a dictionary in bytes, tables included.
const MaxDictionary = 128 << 10

// dictionaryWindow lets the end of a chunk still refer to the start of the
// dictionary.
const dictionaryWindow = 256 << 10

// Dictionary is a zstd dictionary, ready for use by many goroutines. What is
// idle of its coders (about 0.7 MB for each goroutine that compresses at once)
// goes with the next collections of garbage. Printing it shows no content: it
// holds pieces of mail.
type Dictionary struct {
	id                 rookery.DictionaryID
	size               int
	encoders, decoders sync.Pool
}

// NewDictionary reads a dictionary in zstd's format (RFC 8878 5). KindDamaged if
// it is none, is larger than MaxDictionary, or has no id.
func NewDictionary(b []byte) (*Dictionary, error) {
	const op = "read dictionary"
	if len(b) > MaxDictionary {
		return nil, rookery.E(op, rookery.KindDamaged, fmt.Errorf("the dictionary has %d bytes, at most %d", len(b), MaxDictionary))
	}
	x, err := zstd.InspectDictionary(b)
	if err != nil {
		return nil, rookery.E(op, rookery.KindDamaged, fmt.Errorf("it is no zstd dictionary: %w", err))
	}
	if x.ID() == 0 {
		return nil, rookery.E(op, rookery.KindDamaged, errors.New("the dictionary has no id"))
	}
	// What is known to read in again is read once more for every coder: they
	// share the content, and their tables are small.
	encoder := append(encoderOptions(), zstd.WithWindowSize(dictionaryWindow), zstd.WithEncoderDict(b))
	decoder := append(decoderOptions(), zstd.WithDecoderDicts(b))
	enc, err := zstd.NewWriter(nil, encoder...)
	if err != nil {
		return nil, rookery.E(op, rookery.KindDamaged, err)
	}
	d := &Dictionary{id: rookery.DictionaryID(x.ID()), size: len(b)}
	d.encoders.New = func() any { return mustCoder(zstd.NewWriter(nil, encoder...)) }
	d.decoders.New = func() any { return mustCoder(zstd.NewReader(nil, decoder...)) }
	d.encoders.Put(enc)
	return d, nil
}

// ID is the dictionary's name; 0 for a nil Dictionary, which is none.
func (d *Dictionary) ID() rookery.DictionaryID {
	if d == nil {
		return 0
	}
	return d.id
}

// Size is the dictionary's size in bytes.
func (d *Dictionary) Size() int { return d.size }

// Packed is how many bytes a message begun by b takes with the dictionary (nil
// is none), as far as b goes, without what encryption adds.
func (d *Dictionary) Packed(b []byte) (n int) {
	buf := buffers.Get().(*chunkBuffer)
	defer buffers.Put(buf)
	for len(b) > 0 {
		k := min(len(b), ChunkSize)
		n += len(pack(buf[:0], b[:k], d))
		b = b[k:]
	}
	return n
}

// String names the dictionary and shows nothing of it.
func (d *Dictionary) String() string { return fmt.Sprintf("dictionary %d", d.ID()) }

// missing is the error of a reader that lacks a dictionary.
func missing(op string, id rookery.DictionaryID) error {
	return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("it was compressed with dictionary %d, which is not here yet", id))
}
