package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rookery/cmd/node/datadir"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
)

// TestOverrideStartsANodeThatNobodyCouldMend: the only node lacks a file that
// the settings name and has no former settings. It is mended on its machine,
// says so for as long as that lasts, and goes back to the cluster's.
func TestOverrideStartsANodeThatNobodyCouldMend(t *testing.T) {
	n, cfg, deps := oneNode(t)
	pem, err := os.ReadFile(cfg.TLS.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	was, now := filepath.Join(t.TempDir(), "ca.pem"), filepath.Join(t.TempDir(), "ca.pem")
	for _, path := range []string{was, now} {
		if err := os.WriteFile(path, pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := change(t, cfg, "directories.main.ca_file", was); err != nil {
		t.Fatal(err)
	}
	stopNode(t, n)
	for _, path := range []string{was, filepath.Join(cfg.DataDir, "settings")} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Open(t.Context(), cfg, deps); err == nil || !strings.Contains(err.Error(), "rookery config override -data "+cfg.DataDir) {
		t.Fatalf("it started, or does not say how to mend it: %v, %v", n, err)
	}
	d := datadir.Dir(cfg.DataDir)
	override := func(key, value string) {
		over, err := settings.SetOverride(nil, key, value)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.SaveOverride(over); err != nil {
			t.Fatal(err)
		}
	}
	override("directories.main.ca_file", filepath.Join(t.TempDir(), "nowhere.pem"))
	if n, err := Open(t.Context(), cfg, deps); err == nil || !strings.Contains(err.Error(), "nowhere.pem") {
		t.Fatalf("it started on an override that cannot be used, or does not name it: %v, %v", n, err)
	}
	override("directories.main.ca_file", now)
	n = startNode(t, cfg, deps)
	if _, err := settle(t.Context(), n, 0); err != nil {
		t.Errorf("it does not serve: %v", err)
	}
	if set, _, err := n.settings.Local(); err != nil || set.Directories["main"].CAFile != was {
		t.Errorf("the cluster's settings were changed: %+v, %v", set.Directories, err)
	}
	until(t, "the status names the override and its end", func() bool {
		p := n.problemWith("in place of the cluster's: directories.main.ca_file")
		return strings.Contains(p, "override -remove") && strings.Contains(p, cfg.Name)
	})
	if err := change(t, cfg, "directories.main.ca_file", now); err != nil {
		t.Fatal(err)
	}
	if err := d.SaveOverride(nil); err != nil {
		t.Fatal(err)
	}
	n.groups.Publish(replicas.TopicSettings) // instead of the next look
	until(t, "the cluster's settings are in force", func() bool { return n.problemWith("in place of the cluster's") == "" })
}
