package log

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// kind is what a record does to its group when it is replayed. Numbers are
// only ever appended.
type kind uint8

const (
	kindBlank      kind = iota // nothing: an unused pre-written file
	kindEntry                  // a Raft entry, one after the group's last
	kindCopy                   // a Raft entry copied forward or repaired
	kindBody                   // an entry outside Raft's range
	kindTruncate               // index is the group's new last
	kindReset                  // the group's range becomes empty
	kindFirst                  // index is the group's new first
	kindFree                   // index is a segment that may be reused
	kindCheckpoint             // data is the state at the segment's start
	kindFooter                 // data is the segment's index
	kindWhole                  // the group's damage was repaired
	kindPermit                 // Raft has no need of entries below index
	kindEnd
)

const recordHead = 48

// record is a record's header. Its data follows its extensions in the file.
type record struct {
	sum        uint32 // CRC-32C of the rest of the header, extensions and data
	data       uint32
	extensions uint32
	kind       kind
	logType    uint8
	group      rookery.GroupID
	index      uint64
	term       uint64
	appended   int64 // Unix nanoseconds; math.MinInt64 when unset
}

func (r record) size() int64 { return recordHead + int64(r.extensions) + int64(r.data) }

// encode writes the header with the checksum of it, extensions and data.
func (r record) encode(b, extensions, data []byte) {
	_ = b[recordHead-1]
	binary.LittleEndian.PutUint32(b[4:], uint32(len(data)))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(extensions)))
	b[12], b[13], b[14], b[15] = byte(r.kind), r.logType, 0, 0
	binary.LittleEndian.PutUint32(b[16:], uint32(r.group))
	binary.LittleEndian.PutUint64(b[20:], r.index)
	binary.LittleEndian.PutUint64(b[28:], r.term)
	binary.LittleEndian.PutUint64(b[36:], uint64(r.appended))
	binary.LittleEndian.PutUint32(b[44:], 0)
	sum := crc32.Checksum(b[4:recordHead], castagnoli)
	sum = crc32.Update(sum, castagnoli, extensions)
	sum = crc32.Update(sum, castagnoli, data)
	binary.LittleEndian.PutUint32(b, sum)
}

func decodeRecord(b []byte) (r record, ok bool) {
	if len(b) < recordHead || kind(b[12]) >= kindEnd {
		return r, false
	}
	return record{
		sum:        binary.LittleEndian.Uint32(b),
		data:       binary.LittleEndian.Uint32(b[4:]),
		extensions: binary.LittleEndian.Uint32(b[8:]),
		kind:       kind(b[12]),
		logType:    b[13],
		group:      rookery.GroupID(binary.LittleEndian.Uint32(b[16:])),
		index:      binary.LittleEndian.Uint64(b[20:]),
		term:       binary.LittleEndian.Uint64(b[28:]),
		appended:   int64(binary.LittleEndian.Uint64(b[36:])),
	}, true
}

// whole reports whether b is exactly the record r and passes its checksum.
func (r record) whole(b []byte) bool {
	return int64(len(b)) == r.size() && crc32.Checksum(b[4:], castagnoli) == r.sum
}

// log fills out with the entry whose bytes are b. out shares b's memory.
func (r record) log(b []byte, out *raft.Log) {
	ext, data := b[recordHead:recordHead+int64(r.extensions)], b[recordHead+int64(r.extensions):]
	*out = raft.Log{Index: r.index, Term: r.term, Type: raft.LogType(r.logType), AppendedAt: timeOf(r.appended)}
	if len(ext) > 0 {
		out.Extensions = ext[:len(ext):len(ext)]
	}
	if len(data) > 0 {
		out.Data = data[:len(data):len(data)]
	}
}

func nanosOf(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	return t.UnixNano()
}

func timeOf(n int64) time.Time {
	if n == math.MinInt64 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// eachRecord walks a frame's records. It stops and reports false when the
// lengths do not add up, which a frame whose heads sum holds never shows.
func eachRecord(payload []byte, n uint32, fn func(at int64, r record, b []byte)) bool {
	at := int64(0)
	for range n {
		r, ok := decodeRecord(payload[at:])
		if !ok || r.size() > int64(len(payload))-at {
			return false
		}
		if fn != nil {
			fn(at, r, payload[at:at+r.size()])
		}
		at += r.size()
	}
	return at == int64(len(payload))
}

// legible reports whether the record headers of a frame are what was written;
// sound, whether the data is too.
func legible(f frame, payload []byte) (heads, sound bool) {
	if f.records == 0 || f.records > maxFrameRecord {
		return false, false
	}
	sum, sound := uint32(0), true
	ok := eachRecord(payload, f.records, func(_ int64, r record, b []byte) {
		sum = crc32.Update(sum, castagnoli, b[:recordHead])
		sound = sound && r.whole(b)
	})
	return ok && sum == f.heads, ok && sum == f.heads && sound
}
