package dictionary

import (
	_ "embed" // the generic dictionary is part of the program

	"rookery"
)

// generic1 is generic-1.txt, with CRLF line ends, in zstd's format. It never
// changes: stored mail needs it. A better one gets the next id and a file of
// its own.
//
//go:embed generic-1.dict
var generic1 []byte

// Generic is the newest dictionary that comes with the program, made of the
// words of RFCs and of common mail programs. It serves every site from its
// first message on.
const Generic rookery.DictionaryID = 1

// BuiltIn gives a dictionary that comes with the program, in zstd's format.
func BuiltIn(id rookery.DictionaryID) ([]byte, bool) {
	if id == 1 {
		return generic1, true
	}
	return nil, false
}
