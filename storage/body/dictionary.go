package body

import (
	_ "embed" // the dictionary is part of the program
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"rookery"
)

// DictionaryID names a zstd dictionary (RFC 8878 5) that comes with the program,
// for ever: a body and a sealed extract say which one they were made with.
type DictionaryID uint32

// Generic is the dictionary that everything is compressed with: words of RFCs
// and of common mail programs. A better one gets the next id and a file of its
// own, and is compressed with only when every node's program has it.
const Generic DictionaryID = 1

// generic1 is generic-1.txt, with CRLF line ends, in zstd's format. It never
// changes: stored mail needs it.
//
//go:embed generic-1.dict
var generic1 []byte

// dictionaryWindow lets the end of a chunk still refer to the start of the
// dictionary.
const dictionaryWindow = 256 << 10

// dictionary has the coders of one dictionary, for use by many goroutines. What
// is idle of them (about 0.7 MB for each goroutine that compresses at once) goes
// with the next collections of garbage. They are reset before use, so sharing
// them shows in nothing but time.
type dictionary struct {
	encoders, decoders sync.Pool
}

var generic = newDictionary(generic1)

func newDictionary(content []byte) *dictionary {
	d := &dictionary{}
	d.encoders.New = func() any {
		return mustCoder(zstd.NewWriter(nil, append(encoderOptions(), zstd.WithWindowSize(dictionaryWindow), zstd.WithEncoderDict(content))...))
	}
	d.decoders.New = func() any {
		return mustCoder(zstd.NewReader(nil, append(decoderOptions(), zstd.WithDecoderDicts(content))...))
	}
	return d
}

// findDictionary gives the dictionary of an id. KindUnavailable: it comes with a
// newer program only.
func findDictionary(op string, id DictionaryID) (*dictionary, error) {
	if id == Generic {
		return generic, nil
	}
	return nil, rookery.E(op, rookery.KindUnavailable,
		fmt.Errorf("it was compressed with dictionary %d, which this program does not have: upgrade this node", id))
}
