package settings

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var writePage = flag.Bool("page", false, "write docs/operator/settings.md")

// TestSettingsPage compares the page with the code, and has every key explained.
func TestSettingsPage(t *testing.T) {
	for _, k := range All() {
		if k.Meaning == "" || k.Effect == "" {
			t.Errorf("%s is not explained", k.Name)
		}
	}
	path := filepath.Join("..", "..", "..", "docs", "operator", "settings.md")
	if *writePage {
		if err := os.WriteFile(path, []byte(Page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != Page() {
		t.Errorf("%s is stale (%v): go test ./cmd/node/settings -run TestSettingsPage -page", path, err)
	}
}
