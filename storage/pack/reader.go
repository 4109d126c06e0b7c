package pack

import (
	"context"
	"crypto/sha256"
	"hash/crc32"
	"io"

	"rookery"
	"rookery/storage/blob"
)

// firstTail is how much of a pack's end is fetched at first: the whole footer of
// a usual pack.
const firstTail = 64 << 10

// parseEnds reads the index of a pack of size bytes of which head is the
// beginning and tail the end.
func parseEnds(head, tail []byte, size int64) (Index, error) {
	group, id, start, err := ParseHeader(head)
	if err != nil {
		return Index{}, err
	}
	entries, err := ParseTail(tail, int64(start), size)
	return Index{group, id, size, entries}, err
}

// ParseTail reads the index of a pack of size bytes that ends with tail.
func ParseTail(tail []byte, start, size int64) ([]Entry, error) {
	if len(tail) < trailerLen {
		return nil, damaged("it is cut short")
	}
	t, err := parseTrailer(tail[len(tail)-trailerLen:])
	if err != nil {
		return nil, err
	}
	if t.size != size || start+t.footer+int64(trailerLen) > size {
		return nil, damaged("it has %d bytes, its trailer says %d", size, t.size)
	}
	if int64(len(tail)) < t.footer+int64(trailerLen) {
		return nil, damaged("its footer is cut short")
	}
	footer := tail[len(tail)-trailerLen-int(t.footer) : len(tail)-trailerLen]
	if crc32.Checksum(footer, castagnoli) != t.sum {
		return nil, damaged("its footer fails its checksum")
	}
	return parseFooter(footer, start, size-t.footer-int64(trailerLen))
}

// ReadTail reads the end of an object of size bytes with its whole footer, if
// its trailer makes sense.
func ReadTail(ctx context.Context, s blob.Store, key string, size int64) ([]byte, error) {
	n := min(firstTail, size)
	tail, err := ReadRange(ctx, s, key, size-n, n)
	if err != nil || len(tail) < trailerLen {
		return tail, err
	}
	t, err := parseTrailer(tail[len(tail)-trailerLen:])
	if need := t.footer + int64(trailerLen); err == nil && need > n && need <= size {
		return ReadRange(ctx, s, key, size-need, need)
	}
	return tail, nil
}

// Digest reads a range and gives its SHA-256 and length.
func Digest(ctx context.Context, s blob.Store, key string, off, n int64) (sum [sha256.Size]byte, got int64, err error) {
	r, err := s.Get(ctx, key, off, n)
	if err != nil {
		return sum, 0, err
	}
	defer r.Close()
	return digestOf(r)
}

func digestOf(r io.Reader) (sum [sha256.Size]byte, n int64, err error) {
	h := sha256.New()
	if n, err = io.Copy(h, r); err != nil {
		return sum, n, rookery.E("read pack", 0, err)
	}
	h.Sum(sum[:0])
	return sum, n, nil
}

// ReadRange reads n bytes of an object; an object with fewer is an error.
func ReadRange(ctx context.Context, s blob.Store, key string, off, n int64) ([]byte, error) {
	if n < 0 {
		return nil, damaged("%s has a size below zero", key)
	}
	r, err := s.Get(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, rookery.E("read pack", 0, err)
	}
	return b, nil
}
