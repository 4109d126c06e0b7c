package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/storage/command"
)

// oneNode is a cluster of one on real sockets, with the test's directory.
func oneNode(t *testing.T) (*Node, settings.Node, Deps) {
	t.Helper()
	cfg, deps := testConfig(t), testDeps(t, directoryServer(t))
	return startNode(t, cfg, deps), cfg, deps
}

func startNode(t *testing.T, cfg settings.Node, deps Deps) *Node {
	t.Helper()
	n, err := Open(t.Context(), cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTest(n) })
	return n
}

// stopNode closes a node that startNode has started; closing it again does nothing.
func stopNode(t *testing.T, n *Node) {
	t.Helper()
	if err := closeTest(n); err != nil {
		t.Fatal(err)
	}
}

// change sets one key as an operator does.
func change(t *testing.T, cfg settings.Node, key, value string) error {
	t.Helper()
	admin := adminapi.New(cfg.Admin)
	doc, version, err := admin.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next, err := settings.SetKey(doc, key, value)
	if err != nil {
		t.Fatal(err)
	}
	return admin.PutSettings(t.Context(), next, version)
}

// impose stores settings past all checks, as another node would whose machine
// has what this one's lacks.
func (n *Node) impose(t *testing.T, edit func(*settings.Cluster)) {
	t.Helper()
	version, doc, err := n.system.Settings()
	if err != nil {
		t.Fatal(err)
	}
	set, err := settings.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	edit(&set)
	if doc, err = set.Document(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.groups.ProposeSystem(t.Context(), &command.SetSettings{Version: version, Document: doc}); err != nil {
		t.Fatal(err)
	}
}

// until waits for what must come true; the test's own limit ends it.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); !is(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never came true: %s", what)
		}
	}
}

func TestUnusableSettingsAreRefused(t *testing.T) {
	n, cfg, _ := oneNode(t)
	_, was, _ := n.settings.Local()
	missing := filepath.Join(t.TempDir(), "ca.pem")
	for _, c := range []struct{ key, value, names string }{
		{"domains", "[]", "domains: []"},
		{"directories.main.ca_file", missing, "directories.main.ca_file: open " + missing},
		{"directories.main.user_filter", "(mail=*", `directories.main.user_filter: "(mail=*"`},
		{"directories.main.urls", `["http://x"]`, `directories.main.urls: "http://x"`},
		{"directories.main.domains", `["elsewhere.test"]`, `directories.main.domains: ["elsewhere.test"]`},
		{"store.path", filepath.Join(cfg.TLS.Key, "objects"), "store.path: "},
	} {
		err := change(t, cfg, c.key, c.value)
		if !rookery.Is(err, rookery.KindInvalid) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s = %s was answered %v, which does not name %q", c.key, c.value, err, c.names)
		}
	}
	if _, now, err := n.settings.Local(); now != was || err != nil {
		t.Errorf("the settings went from version %d to %d, %v", was, now, err)
	}
}

// problemWith is the status' problem that has a text in it.
func (n *Node) problemWith(text string) string {
	for _, p := range n.monitor.Status().Problems {
		if strings.Contains(p, text) {
			return p
		}
	}
	return ""
}

// TestFileOfTheSettingsGoesAway: the node starts without the file, with its
// copy, says so, and takes the settings into use when it is back.
func TestFileOfTheSettingsGoesAway(t *testing.T) {
	n, cfg, deps := oneNode(t)
	pem, err := os.ReadFile(cfg.TLS.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := change(t, cfg, "directories.main.ca_file", file); err != nil {
		t.Fatal(err)
	}
	until(t, "the settings are in force", func() bool { _, v, err := n.settings.Last(); return v == 2 && err == nil })
	stopNode(t, n)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	n = startNode(t, cfg, deps)
	if _, err := settle(t.Context(), n, 0); err != nil {
		t.Errorf("it does not serve: %v", err)
	}
	if p := n.problemWith("directories.main.ca_file: open " + file); !strings.Contains(p, "version 2") || !strings.Contains(p, cfg.Name) {
		t.Errorf("the status does not say what is wrong: %q", n.monitor.Status().Problems)
	}
	if v := n.monitor.Ready(""); !v.Ready || !strings.Contains(v.Reason, "directories.main.ca_file") {
		t.Errorf("health says %+v", v)
	}
	if err := os.WriteFile(file, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	n.groups.Publish(replicas.TopicSettings) // instead of the next try
	until(t, "the settings are in force again", func() bool { return n.settings.Trouble() == "" })
	if p := n.problemWith("not in force"); p != "" {
		t.Errorf("the status still says %q", p)
	}
}

// TestUnusableSettingsLeaveTheFormerInForce, while the node runs and when it
// starts again.
func TestUnusableSettingsLeaveTheFormerInForce(t *testing.T) {
	n, cfg, deps := oneNode(t)
	n.impose(t, func(s *settings.Cluster) { s.Domains = []string{}; s.Limits.Connections = 7 })
	for range 2 {
		until(t, "the status names the key", func() bool { return n.problemWith("domains: []") != "" })
		if p := n.problemWith("not in force"); !strings.Contains(p, "version 2") || !strings.Contains(p, "version 1") {
			t.Errorf("the status does not say which version: %q", p)
		}
		if !n.people.Local(testDomain) || n.settings.Limits().Connections == 7 {
			t.Error("the former settings are not in force")
		}
		stopNode(t, n)
		n = startNode(t, cfg, deps)
	}
	if err := change(t, cfg, "domains", `["`+testDomain+`"]`); err != nil {
		t.Fatal(err)
	}
	until(t, "mended settings are in force", func() bool { return n.settings.Trouble() == "" && n.settings.Limits().Connections == 7 })
}
