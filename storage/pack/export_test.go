package pack

import (
	"context"
	"crypto/sha256"

	"rookery/storage/blob"
)

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

// ReadIndex reads the index of a pack in the store with two or three ranged
// requests.
func ReadIndex(ctx context.Context, s blob.Store, key string) (Index, error) {
	info, err := s.Stat(ctx, key)
	if err != nil {
		return Index{}, err
	}
	head, err := ReadRange(ctx, s, key, 0, min(int64(MaxHeader), info.Size))
	if err != nil {
		return Index{}, err
	}
	tail, err := ReadTail(ctx, s, key, info.Size)
	if err != nil {
		return Index{}, err
	}
	return parseEnds(head, tail, info.Size)
}

// Verify reads a whole pack in the store once more and checks every body's
// digest, in bounded memory.
func Verify(ctx context.Context, s blob.Store, key string) (Index, error) {
	x, err := ReadIndex(ctx, s, key)
	if err != nil {
		return x, err
	}
	for _, e := range x.Entries {
		sum, n, err := Digest(ctx, s, key, e.Off, e.Len)
		if err != nil {
			return x, err
		}
		if n != e.Len || sum != e.SHA256 {
			return x, damaged("body %d of %s fails its digest", e.Body, key)
		}
	}
	return x, nil
}
