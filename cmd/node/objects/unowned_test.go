package objects

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/pack"
)

// No cluster begins where another one keeps its packs; the place is left as it
// was.
func TestUnowned(t *testing.T) {
	data := t.TempDir()
	set := &settings.Store{Kind: "dir", Path: filepath.Join(t.TempDir(), "objects")}
	if err := Unowned(t.Context(), set, data); err != nil {
		t.Errorf("an empty place: %v", err)
	}
	if _, err := os.Stat(set.Path); !os.IsNotExist(err) {
		t.Errorf("the question made the directory: %v", err)
	}
	s, err := OpenStore(set, data, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := pack.Claim(t.Context(), s, "other"); err != nil {
		t.Fatal(err)
	}
	if err := Close(s); err != nil {
		t.Fatal(err)
	}
	if err := Unowned(t.Context(), set, data); !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("another cluster's place: %v", err)
	}
}
