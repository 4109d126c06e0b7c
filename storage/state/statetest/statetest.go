// Package statetest opens a state in memory for tests of the packages above. It
// owns nothing but that: no product code imports it.
package statetest

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery/storage/state"
)

// Open opens an empty state in memory that ends with the test.
func Open(t testing.TB) *state.Store {
	t.Helper()
	s, err := state.Open("state", vfs.NewMem(), state.Options{Logger: slog.New(slog.DiscardHandler),
		MemTableBytes: 8 << 20, CacheBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
