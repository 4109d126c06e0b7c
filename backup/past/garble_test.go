package past

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"rookery/storage/blob"
)

func (w *world) object(key string) []byte {
	in, err := w.archive.Store.Get(w.t.Context(), key, 0, -1)
	w.must(err)
	defer in.Close()
	b, err := io.ReadAll(in)
	w.must(err)
	return b
}

func (w *world) replace(key string, b []byte) {
	w.must(w.archive.Store.Delete(w.t.Context(), key))
	w.must(w.archive.Store.Put(w.t.Context(), key, bytes.NewReader(b), int64(len(b)), blob.PutOptions{}))
}

func flip(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

func contains(err error, s string) bool { return err != nil && strings.Contains(err.Error(), s) }
