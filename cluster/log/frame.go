package log

import (
	"encoding/binary"
	"hash/crc32"
)

// A frame is one flush: a header, then records. It begins at a multiple of
// pageSize and is padded to one, so that no later write touches its pages.
const (
	pageSize       = 4096
	frameHead      = 64
	frameMagic     = 0x524b594c // "RKYL"
	formatVersion  = 1
	maxFrameRecord = 1 << 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func alignUp(n int64) int64 { return (n + pageSize - 1) &^ (pageSize - 1) }

// frame is a frame's header. Segment and salt tie it to one life of a file:
// a recycled file's old frames carry another segment number and another salt,
// and no body can forge a frame without knowing the salt.
type frame struct {
	segment uint64
	salt    uint64
	number  uint64 // counts over all segments
	size    uint32 // bytes of records
	records uint32
	heads   uint32 // CRC-32C over the record headers, which hold their own sums
}

func (f frame) encode(b []byte) {
	_ = b[frameHead-1]
	clear(b[:frameHead])
	binary.LittleEndian.PutUint32(b, frameMagic)
	binary.LittleEndian.PutUint16(b[4:], formatVersion)
	binary.LittleEndian.PutUint64(b[8:], f.segment)
	binary.LittleEndian.PutUint64(b[16:], f.salt)
	binary.LittleEndian.PutUint64(b[24:], f.number)
	binary.LittleEndian.PutUint32(b[32:], f.size)
	binary.LittleEndian.PutUint32(b[36:], f.records)
	binary.LittleEndian.PutUint32(b[40:], f.heads)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
}

func decodeFrame(b []byte) (f frame, ok bool) {
	if len(b) < frameHead || binary.LittleEndian.Uint32(b) != frameMagic ||
		binary.LittleEndian.Uint16(b[4:]) != formatVersion ||
		binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return f, false
	}
	return frame{
		segment: binary.LittleEndian.Uint64(b[8:]),
		salt:    binary.LittleEndian.Uint64(b[16:]),
		number:  binary.LittleEndian.Uint64(b[24:]),
		size:    binary.LittleEndian.Uint32(b[32:]),
		records: binary.LittleEndian.Uint32(b[36:]),
		heads:   binary.LittleEndian.Uint32(b[40:]),
	}, true
}

// space is the room the frame takes in its segment.
func (f frame) space() int64 { return alignUp(frameHead + int64(f.size)) }
