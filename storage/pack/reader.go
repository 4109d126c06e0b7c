package pack

import (
	"context"
	"crypto/sha256"
	"io"

	"rookery"
	"rookery/storage/blob"
)

// firstTail is how much of a pack's end is fetched at first: the whole footer of
// a usual pack.
const firstTail = 64 << 10

// Parse reads a whole pack and checks everything in it.
func Parse(b []byte) (Index, error) {
	x, err := parseEnds(b, b, int64(len(b)))
	if err != nil {
		return x, err
	}
	for _, e := range x.Entries {
		if sha256.Sum256(b[e.Off:e.Off+e.Len]) != e.SHA256 {
			return x, damaged("body %d fails its digest", e.Body)
		}
	}
	return x, nil
}

// parseEnds reads the index of a pack of size bytes of which head is the
// beginning and tail the end.
func parseEnds(head, tail []byte, size int64) (Index, error) {
	group, id, start, err := parseHeader(head)
	if err != nil {
		return Index{}, err
	}
	entries, err := parseTail(tail, int64(start), size)
	return Index{group, id, size, entries}, err
}

// ReadIndex reads the index of a pack in the store with two or three ranged
// requests.
func ReadIndex(ctx context.Context, s blob.Store, key string) (Index, error) {
	info, err := s.Stat(ctx, key)
	if err != nil {
		return Index{}, err
	}
	head, err := readRange(ctx, s, key, 0, min(int64(maxHeader), info.Size))
	if err != nil {
		return Index{}, err
	}
	tail, err := readTail(ctx, s, key, info.Size)
	if err != nil {
		return Index{}, err
	}
	return parseEnds(head, tail, info.Size)
}

// readTail reads the end of an object of size bytes with its whole footer, if
// its trailer makes sense.
func readTail(ctx context.Context, s blob.Store, key string, size int64) ([]byte, error) {
	n := min(firstTail, size)
	tail, err := readRange(ctx, s, key, size-n, n)
	if err != nil || len(tail) < trailerLen {
		return tail, err
	}
	t, err := parseTrailer(tail[len(tail)-trailerLen:])
	if need := t.footer + int64(trailerLen); err == nil && need > n && need <= size {
		return readRange(ctx, s, key, size-need, need)
	}
	return tail, nil
}

// Verify reads a whole pack in the store once more and checks every body's
// digest, in bounded memory.
func Verify(ctx context.Context, s blob.Store, key string) (Index, error) {
	x, err := ReadIndex(ctx, s, key)
	if err != nil {
		return x, err
	}
	for _, e := range x.Entries {
		sum, n, err := digest(ctx, s, key, e.Off, e.Len)
		if err != nil {
			return x, err
		}
		if n != e.Len || sum != e.SHA256 {
			return x, damaged("body %d of %s fails its digest", e.Body, key)
		}
	}
	return x, nil
}

// digest reads a range and gives its SHA-256 and length.
func digest(ctx context.Context, s blob.Store, key string, off, n int64) (sum [sha256.Size]byte, got int64, err error) {
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

func readRange(ctx context.Context, s blob.Store, key string, off, n int64) ([]byte, error) {
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
