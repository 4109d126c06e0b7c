package backup

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

// node answers on an administration socket below a directory.
func node(t *testing.T, answers map[string]func(*http.Request) any) (dir string) {
	t.Helper()
	dir = t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for route, answer := range answers {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(answer(r)) })
	}
	s := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return dir
}

// call runs a verb and returns what it printed.
func call(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	v := Verb(&cli.Shell{Out: &out, Err: &out})
	v.SilenceErrors, v.SilenceUsage = true, true
	v.SetArgs(append(args, "--data", dir))
	err := v.ExecuteContext(t.Context())
	return out.String(), err
}

// read decodes JSON that a verb printed.
func read[T any](t *testing.T, text string) (x T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return x
}

// has checks for pieces of a text, in which columns are as wide as it takes.
func has(t *testing.T, text string, pieces ...string) {
	t.Helper()
	narrow := strings.Join(strings.Fields(text), " ")
	for _, p := range pieces {
		if !strings.Contains(narrow, p) {
			t.Errorf("no %q in:\n%s", p, text)
		}
	}
}

var at = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)

func TestStatus(t *testing.T) {
	whole := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	s := adminapi.BackupStatus{On: true, Complete: &whole,
		Store: "s3 backup", WindowDays: 30, Problems: []string{}, Groups: []adminapi.BackupGroup{
			{Group: 1, Node: "node1", Archived: 77, Upto: at, Pending: 3, Lag: 6.4, Image: &at, Bytes: 3 << 20}, {Group: 2, Node: "node2"}}}
	dir := node(t, map[string]func(*http.Request) any{
		"GET /v1/backup":      func(*http.Request) any { return s },
		"POST /v1/backup/run": func(*http.Request) any { return s },
	})
	text, err := call(t, dir, "status")
	if err != nil {
		t.Error(err)
	}
	has(t, text, "brought back to 2026-11-30", "store: s3 backup", "window: 30 days",
		"1 node1 2026-11-30T10:00:00Z 3 6s 2026-11-30T10:00:00Z 3.0 MiB", "2 node2 - 0 0s - 0.0 KiB")
	if text, err = call(t, dir, "run", "--json"); err != nil || read[adminapi.BackupStatus](t, text).Groups[0].Archived != 77 {
		t.Errorf("%v: %s", err, text)
	}
	s.Problems = []string{"group 1 is 3 hours behind"}
	text, err = call(t, dir, "status", "--json")
	if got := read[adminapi.BackupStatus](t, text); cli.ExitCode(err) != 1 || got.Problems[0] != s.Problems[0] {
		t.Errorf("code %d: %s", cli.ExitCode(err), text)
	}
	if text, err = call(t, dir, "status"); cli.ExitCode(err) != 1 {
		t.Errorf("code %d", cli.ExitCode(err))
	}
	has(t, text, "problem: group 1 is 3 hours behind")
	s = adminapi.BackupStatus{}
	if text, err = call(t, dir, "status"); err != nil {
		t.Error(err)
	}
	has(t, text, "There is no backup. Set backup.kind")
}

func TestList(t *testing.T) {
	dir := node(t, map[string]func(*http.Request) any{"GET /v1/backup/list": func(*http.Request) any {
		return adminapi.BackupList{Images: []adminapi.BackupImage{{Group: 3, Index: 99, Time: at}}, Segments: 12, SegmentBytes: 5 << 30}
	}})
	text, err := call(t, dir, "list")
	if err != nil {
		t.Error(err)
	}
	has(t, text, "3 2026-11-30T10:00:00Z 99", "12 segments of the log, 5.0 GiB")
	if text, err = call(t, dir, "list", "--json"); err != nil || read[adminapi.BackupList](t, text).Images[0].Index != 99 {
		t.Errorf("%v: %s", err, text)
	}
}

// Search flags arrive at the node, and nothing that a stranger wrote reaches the
// terminal as it is.
func TestFind(t *testing.T) {
	var asked adminapi.FindOrder
	found := adminapi.FoundMessages{At: at, More: true, Messages: []adminapi.FoundMessage{
		{Mailbox: "INBOX", UID: 7, Email: "Mabc", From: "eve\x1b[2J", Subject: "an invoice\n", Date: at, Size: 2048, Deleted: true},
		{Mailbox: "Sent", UID: 8, Email: "Mdef", Date: at}}}
	dir := node(t, map[string]func(*http.Request) any{"POST /v1/backup/find": func(r *http.Request) any {
		asked = adminapi.FindOrder{}
		json.NewDecoder(r.Body).Decode(&asked)
		return found
	}})
	text, err := call(t, dir, "find", "anna@example.com", "--at", at.Format(time.RFC3339), "--from", "eve", "--subject", "inv",
		"--mailbox", "INBOX", "--since", "2026-11-01", "--before", "2026-11-30", "--deleted", "--limit", "2")
	want := adminapi.FindOrder{Account: "anna@example.com", At: at, From: "eve", Subject: "inv", Mailbox: "INBOX", Deleted: true, Limit: 2,
		Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Before: time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)}
	if err != nil || asked != want {
		t.Errorf("%v: asked for %+v, want %+v", err, asked, want)
	}
	has(t, text, "Mabc INBOX 2026-11-30T10:00:00Z 2.0 KiB deleted eve [2J an invoice",
		"Mdef Sent 2026-11-30T10:00:00Z 0.0 KiB there", "There are more")
	if strings.Contains(text, "\x1b") {
		t.Errorf("an escape reaches the terminal: %q", text)
	}
	text, err = call(t, dir, "find", "anna@example.com", "--at=-2h", "--json")
	if got := read[adminapi.FoundMessages](t, text); err != nil || len(got.Messages) != 2 || got.Messages[0].From != "eve\x1b[2J" {
		t.Errorf("%v: %s", err, text)
	}
	if ago := time.Since(asked.At); ago < 2*time.Hour || ago > 3*time.Hour {
		t.Errorf("-2h is %v ago", ago)
	}
	found = adminapi.FoundMessages{At: at}
	if text, err = call(t, dir, "find", "anna@example.com"); err != nil {
		t.Error(err)
	}
	has(t, text, "Nothing is found in the account as it was at 2026-11-30T10:00:00Z.")
	for _, args := range []string{"find", "find a@b --at soon", "find a@b --since x", "list x", "unhold"} {
		if text, err := call(t, dir, strings.Fields(args)...); err == nil {
			t.Errorf("%s: %s", args, text)
		}
	}
}

func TestPrune(t *testing.T) {
	var asked adminapi.PruneOrder
	dir := node(t, map[string]func(*http.Request) any{"POST /v1/backup/prune": func(r *http.Request) any {
		json.NewDecoder(r.Body).Decode(&asked)
		return adminapi.PruneReport{DryRun: asked.DryRun, Images: 2, Segments: 30, Objects: 36, Bytes: 1 << 30, Points: 4,
			KeptObjects: 100, KeptBytes: 2 << 30}
	}})
	text, err := call(t, dir, "prune", "--dry-run")
	if err != nil || asked != (adminapi.PruneOrder{DryRun: true}) {
		t.Errorf("%v %+v", err, asked)
	}
	has(t, text, "would be deleted: 2 images and 30 segments in 36 objects, 1.0 GiB", "kept: 100 objects, 2.0 GiB, of them 4 points")
	asked = adminapi.PruneOrder{}
	if text, err = call(t, dir, "prune", "--force", "--json"); err != nil || asked != (adminapi.PruneOrder{Force: true}) ||
		read[adminapi.PruneReport](t, text).Segments != 30 {
		t.Errorf("%v %+v: %s", err, asked, text)
	}
}

// A hold says what it keeps and what it does not, and a group that has not taken it
// yet is no success.
func TestHold(t *testing.T) {
	var asked adminapi.HoldOrder
	answer := adminapi.HoldAnswer{Groups: []rookery.GroupID{1, 2}}
	order := func(r *http.Request) any {
		asked = adminapi.HoldOrder{}
		json.NewDecoder(r.Body).Decode(&asked)
		return answer
	}
	dir := node(t, map[string]func(*http.Request) any{
		"POST /v1/storage/hold": order, "POST /v1/storage/release": order,
		"GET /v1/storage/holds": func(*http.Request) any {
			return adminapi.HoldList{Holds: []adminapi.HoldStatus{
				{Kind: "operator", Name: "case-7", From: at, Reason: "why", Groups: []rookery.GroupID{1}}}}
		},
	})
	text, err := call(t, dir, "hold", "add", "case-7", "--reason", "court order", "--since", "2026-11-30")
	if want := (adminapi.HoldOrder{Name: "case-7", Reason: "court order", From: at.Truncate(24 * time.Hour)}); err != nil || asked != want {
		t.Errorf("%v: %+v", err, asked)
	}
	has(t, text, "case-7: in force in 2 groups", "It keeps every pack in the object store",
		"It does not keep the archive's images and segments",
		"It does not keep an account from being erased")
	if text, err = call(t, dir, "hold", "list"); err != nil {
		t.Error(err)
	}
	has(t, text, "operator case-7 2026-11-30T10:00:00Z - 1 - why")
	answer.Pending = []rookery.GroupID{3}
	text, err = call(t, dir, "unhold", "case-7")
	if !rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(err.Error(), "is still kept in groups [3]") {
		t.Errorf("%v", err)
	}
	has(t, text, "case-7: released in 2 groups", "What only it kept is deleted from now on.")
	if text, err = call(t, dir, "unhold", "case-7", "--json"); err == nil || len(read[adminapi.HoldAnswer](t, text).Pending) != 1 {
		t.Errorf("%v: %s", err, text)
	}
	if _, err := call(t, dir, "hold", "add", "case-8"); cli.ExitCode(err) != cli.ExitUsage {
		t.Errorf("a hold without a reason: %v", err)
	}
}
