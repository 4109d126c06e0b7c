package habits

import (
	"os"
	"path/filepath"
	"regexp"
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

var metricName = regexp.MustCompile(`\brookery_[a-z_]+`)

// Alerts are about numbers that there are.
func TestAlertsNameMetrics(t *testing.T) {
	read := func(elem ...string) string {
		b, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, elem...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	page := read("docs", "operator", "metrics.md")
	names := metricName.FindAllString(read("deploy", "prometheus", "rookery.rules.yml"), -1)
	if len(names) < 8 {
		t.Fatalf("only %q: the test looks at too little", names)
	}
	for _, name := range names {
		if !strings.Contains(page, "`"+strings.TrimSuffix(name, "_bucket")+"`") {
			t.Errorf("rookery.rules.yml asks for %s, which no node tells", name)
		}
	}
}
