package habits

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnitWritesNoCore: a core dump of a node holds keys, passwords and mail.
func TestUnitWritesNoCore(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join("..", "..", "deploy", "systemd", "rookery.service"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(unit), "\nLimitCORE=0\n") {
		t.Error("rookery.service lets the system write core dumps: set LimitCORE=0")
	}
}
