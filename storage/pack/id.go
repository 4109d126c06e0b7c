package pack

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"rookery/storage/command"
)

// NewID makes a pack's name: a ULID in lower case (48 bits of milliseconds, 80
// random bits), so names are unique whoever makes them and sort by age.
func NewID(now time.Time) command.PackID {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:])
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	var s [26]byte
	for i := 25; i >= 0; i-- {
		s[i] = command.PackIDDigits[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return command.PackID(s[:])
}
