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
