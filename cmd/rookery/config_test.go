package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
	"rookery/cmd/rookery/cli"
)

// settingsAt is an administration socket that has settings.
func settingsAt(t *testing.T, doc []byte) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "admin.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/settings", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(adminapi.SettingsBody{Document: string(doc), Version: 7})
	})
	s := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return socket
}

// TestDiffExitsWith1WhereItDiffers, as diff(1) does.
func TestDiffExitsWith1WhereItDiffers(t *testing.T) {
	s := settings.Default()
	doc, err := s.Document()
	if err != nil {
		t.Fatal(err)
	}
	socket, file := settingsAt(t, doc), filepath.Join(t.TempDir(), "settings.toml")
	for text, want := range map[string]int{string(doc): 0, "[limits]\nmessage_size = '50MiB'": 0,
		"[limits]\nmessage_size = '60MB'": cli.ExitFailed, "nosuch = 1": cli.ExitUsage} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if code := run(t.Context(), &cli.Shell{Out: &out, Err: &errs}, []string{"config", "diff", "-socket", socket, file}); code != want {
			t.Errorf("exit code %d, want %d: %s%s", code, want, out.String(), errs.String())
		}
	}
}

// TestSecretsAreNoArguments: every user of the machine sees arguments.
func TestSecretsAreNoArguments(t *testing.T) {
	for _, key := range []string{"store.secret_key", "directories.main.password"} {
		var out, errs bytes.Buffer
		code := run(t.Context(), &cli.Shell{Out: &out, Err: &errs}, []string{"config", "set", "-socket", "/nosuch/admin.sock", key, "hunter2"})
		if code != cli.ExitUsage || !strings.Contains(errs.String(), "@FILE") || strings.Contains(errs.String(), "hunter2") {
			t.Errorf("%s: exit code %d: %s", key, code, errs.String())
		}
	}
}

// TestOverrideNeedsNoNode, and keeps its secrets from who looks.
func TestOverrideNeedsNoNode(t *testing.T) {
	dir, secret := t.TempDir(), filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := run(t.Context(), &cli.Shell{Out: &out, Err: &out}, append([]string{"config", "override", "-data", dir}, args...))
		return code, out.String()
	}
	if code, text := call("store.region", "here"); code != cli.ExitNotFound {
		t.Errorf("in no node's directory: exit code %d: %s", code, text)
	}
	if err := os.WriteFile(filepath.Join(dir, "node.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 0, "none"},
		{[]string{"directories.main.password", "hunter2"}, cli.ExitUsage, "@FILE"},
		{[]string{"limits.quota", "1GB"}, cli.ExitUsage, "must be the same on every node"},
		{[]string{"directories.main.password", "@" + secret}, 0, settings.Hidden},
		{[]string{"store.region", "here"}, 0, "region = 'here'"},
		{[]string{"-json"}, 0, `"directories.main.password",`},
		{[]string{"store.region"}, cli.ExitUsage, "KEY and VALUE"},
		{[]string{"-remove", "store.region", "here"}, cli.ExitUsage, "removes them all"},
		{[]string{"-remove"}, 0, ""},
		{nil, 0, "none"},
	} {
		code, text := call(c.args...)
		if code != c.code || !strings.Contains(text, c.says) || strings.Contains(text, "hunter2") {
			t.Errorf("%q: exit code %d: %s", c.args, code, text)
		}
	}
}
