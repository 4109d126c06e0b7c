package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

// TestDirectoryVerbs shows what waits in a copy, and settles what was shown.
func TestDirectoryVerbs(t *testing.T) {
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	waits := &adminapi.PendingChanges{Number: 47, Count: 3, Since: at, Changes: []adminapi.PendingChange{
		{Entry: "cn=anna", What: "vanishes"},
		{Entry: "cn=bert", What: "changes addresses", Lost: []string{"b@x"}, Gained: []string{"c@x"}},
	}}
	copies := []adminapi.DirectoryCopy{
		{Name: "main", ID: "d", Followed: true, By: "mail1", AsOf: &at, Lag: 7, FullRead: &at, Entries: 100, Vanished: 2, ConflictCount: 1,
			Conflicts: []string{"a@example.com"}, Pending: waits},
		{Name: "more", ID: "e"},
		{Name: "new", ID: "f", Followed: true, Reading: true, Problem: "the server is busy"},
	}
	var asked []string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/directories", func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(copies) })
	mux.HandleFunc("POST /v1/directories/{name}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		var o adminapi.PendingOrder
		json.NewDecoder(r.Body).Decode(&o)
		asked = append(asked, r.PathValue("verb"))
		json.NewEncoder(w).Encode(adminapi.PendingSettled{Directory: r.PathValue("name"), Changes: uint32(o.Number)})
	})
	s := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	call := func(line string) (string, int) {
		var out bytes.Buffer
		code := run(t.Context(), &cli.Shell{Out: &out, Err: &out}, append(strings.Fields(line), "-data", dir))
		return out.String(), code
	}
	for line, want := range map[string][]string{
		"directory status": {
			"main (id d)", "mail1", "7s ago", "100, and 2 that have vanished", "1: a@example.com", "number 47", "cn=anna vanishes",
			"cn=bert changes addresses: without b@x; with c@x", "and 1 more", "it is asked for each name", "not complete yet",
			"the server is busy", "never; it is being read now",
		},
		"directory status --json":                {`"number": 47`},
		"directory approve main -number 3":       {"3 changes of directory main are made"},
		"directory reject main -number 4":        {"4 changes of directory main are forgotten"},
		"directory approve main -number 5 -json": {`"changes": 5`},
	} {
		got, code := call(line)
		for _, x := range want {
			if code != 0 || !strings.Contains(got, x) {
				t.Errorf("%s: exit code %d, no %q in\n%s", line, code, x, got)
			}
		}
	}
	if got, code := call("directory approve main"); code != cli.ExitUsage || !strings.Contains(got, "-number") {
		t.Errorf("exit code %d: %s", code, got)
	}
	if len(asked) != 3 {
		t.Errorf("asked for %v", asked)
	}
}
