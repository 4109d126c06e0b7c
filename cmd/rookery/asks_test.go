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
	"rookery/cmd/rookery/cli"
)

// TestVerbsThatAskSayWhichFlagAnswers, where there is no terminal to ask at.
func TestVerbsThatAskSayWhichFlagAnswers(t *testing.T) {
	if cli.IsTerminal(os.Stdin) {
		t.Skip("standard input is a terminal")
	}
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(adminapi.Status{Nodes: []adminapi.NodeStatus{{Name: "mail2", Alive: true}}})
	})
	s := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	for _, c := range []struct{ call, flag string }{
		{"key destroy", "-yes"}, {"key destroy 1", "-yes"}, {"account erase bob@example.com", "-yes"}, {"remove mail2", "-yes"},
	} {
		var out bytes.Buffer
		code := run(t.Context(), &cli.Shell{Out: &out, Err: &out}, append(strings.Fields(c.call), "-data", dir))
		if code != cli.ExitUsage || !strings.Contains(out.String(), "there is no terminal: add "+c.flag) {
			t.Errorf("%s: exit code %d: %s", c.call, code, out.String())
		}
	}
}
