package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"rookery"
	"rookery/storage/command"
)

// A pack is one immutable object:
//
//	header  "RKPACK1\n" | version u16 | group u32 | len(id) u16 | id | CRC-32C of all before
//	bodies  the encoded bytes of each body, verbatim, one after the other
//	footer  count uvarint, then for each body:
//	        body id uvarint | off uvarint | len uvarint | SHA-256 of the bytes | len(layout) uvarint | layout
//	trailer len(footer) u32 | CRC-32C of the footer u32 | size of the object u64 | "RKPKEND\n"
//
// Fixed-width numbers are big endian, offsets count from the object's start. A
// pack names no account: it can be read, checked and its index rebuilt without
// any other data, and says nothing of whose mail it holds.
const (
	formatVersion = 1
	headMagic     = "RKPACK1\n"
	tailMagic     = "RKPKEND\n"
	trailerLen    = 4 + 4 + 8 + len(tailMagic)

	// MaxBodies bounds the bodies of one pack, MaxFooter its footer in bytes.
	MaxBodies = 65536
	MaxFooter = 64 << 20
	maxLayout = 16 << 20
)

// Entry is one body of a pack's index.
type Entry struct {
	Body     command.BodyID
	Off, Len int64 // of the encoded bytes in the object
	Layout   []byte
	SHA256   [sha256.Size]byte // of the encoded bytes
}

// Index is what a pack says of itself.
type Index struct {
	Group   rookery.GroupID
	ID      command.PackID
	Size    int64
	Entries []Entry
}

func damaged(format string, args ...any) error {
	return rookery.E("read pack", rookery.KindDamaged, fmt.Errorf(format, args...))
}

func encodeHeader(group rookery.GroupID, id command.PackID) []byte {
	b := append([]byte(headMagic), 0, formatVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(group))
	b = binary.BigEndian.AppendUint16(b, uint16(len(id)))
	b = append(b, id...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// HeaderLen is the length of a pack's header.
func HeaderLen(id command.PackID) int { return len(headMagic) + 2 + 4 + 2 + len(id) + 4 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// MaxHeader is the longest header's length.
const MaxHeader = len(headMagic) + 2 + 4 + 2 + command.MaxPackID + 4

// ParseHeader reads the header at the beginning of b.
func ParseHeader(b []byte) (group rookery.GroupID, id command.PackID, n int, err error) {
	fixed := len(headMagic) + 2 + 4 + 2
	if len(b) < fixed || string(b[:len(headMagic)]) != headMagic {
		return 0, "", 0, damaged("it does not begin as a pack does")
	}
	f := b[len(headMagic):]
	if v := binary.BigEndian.Uint16(f); v != formatVersion {
		return 0, "", 0, damaged("pack format %d is unknown to this version", v)
	}
	group = rookery.GroupID(binary.BigEndian.Uint32(f[2:]))
	k := int(binary.BigEndian.Uint16(f[6:]))
	if n = fixed + k + 4; k > command.MaxPackID || len(b) < n {
		return 0, "", 0, damaged("its header is cut short")
	}
	if crc32.Checksum(b[:n-4], castagnoli) != binary.BigEndian.Uint32(b[n-4:]) {
		return 0, "", 0, damaged("its header fails its checksum")
	}
	return group, command.PackID(b[fixed : fixed+k]), n, nil
}

// encodeTail writes footer and trailer of a pack whose bodies end at end.
func encodeTail(entries []Entry, end int64) []byte {
	b := binary.AppendUvarint(nil, uint64(len(entries)))
	for i := range entries {
		e := &entries[i]
		b = binary.AppendUvarint(b, uint64(e.Body))
		b = binary.AppendUvarint(b, uint64(e.Off))
		b = binary.AppendUvarint(b, uint64(e.Len))
		b = append(b, e.SHA256[:]...)
		b = binary.AppendUvarint(b, uint64(len(e.Layout)))
		b = append(b, e.Layout...)
	}
	n := len(b)
	sum := crc32.Checksum(b, castagnoli)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = binary.BigEndian.AppendUint32(b, sum)
	b = binary.BigEndian.AppendUint64(b, uint64(end)+uint64(n)+uint64(trailerLen))
	return append(b, tailMagic...)
}

// trailer is the object's fixed end.
type trailer struct {
	footer int64 // length
	sum    uint32
	size   int64
}

func parseTrailer(b []byte) (trailer, error) {
	if len(b) != trailerLen || string(b[16:]) != tailMagic {
		return trailer{}, damaged("it does not end as a pack does")
	}
	t := trailer{int64(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint32(b[4:]), int64(binary.BigEndian.Uint64(b[8:]))}
	if t.footer > MaxFooter || t.size < t.footer+int64(trailerLen) {
		return trailer{}, damaged("its trailer makes no sense")
	}
	return t, nil
}

// parseFooter reads the index. Bodies must lie between the header's end and
// the footer, in order and without overlap.
func parseFooter(b []byte, start, end int64) ([]Entry, error) {
	r := footerReader{b: b}
	count := r.number(MaxBodies)
	// An entry takes at least 36 bytes: a count can claim no more memory.
	entries := make([]Entry, 0, min(count, int64(len(b)/36)))
	for i := int64(0); i < count && r.err == nil; i++ {
		e, _ := r.entry()
		if r.err == nil && (e.Off < start || e.Len <= 0 || e.Len > end-e.Off) {
			r.err = fmt.Errorf("body %d lies outside the pack", e.Body)
		}
		start = e.Off + e.Len
		entries = append(entries, e)
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = errors.New("bytes follow the index")
	}
	if r.err != nil {
		return nil, damaged("its footer: %w", r.err)
	}
	return entries, nil
}

// EachEntry calls fn for the entries of an index at the beginning of b, up to
// the first that makes no sense or until fn returns false.
func EachEntry(b []byte, fn func(Entry) bool) {
	r := footerReader{b: b}
	count := r.number(MaxBodies)
	for range count {
		if e, err := r.entry(); err != nil || !fn(e) {
			return
		}
	}
}

type footerReader struct {
	b   []byte
	err error
}

var errShort = errors.New("it is cut short")

func (r *footerReader) entry() (Entry, error) {
	e := Entry{Body: command.BodyID(r.number(math.MaxInt64)), Off: r.number(math.MaxInt64), Len: r.number(math.MaxInt64)}
	copy(e.SHA256[:], r.bytes(sha256.Size))
	e.Layout = bytes.Clone(r.bytes(int(r.number(maxLayout))))
	return e, r.err
}

func (r *footerReader) number(max uint64) int64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > max {
		r.err = errShort
		if n > 0 {
			r.err = fmt.Errorf("a number of %d is out of bounds", v)
		}
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

func (r *footerReader) bytes(n int) []byte {
	if r.err != nil || n > len(r.b) {
		if r.err == nil {
			r.err = errShort
		}
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
