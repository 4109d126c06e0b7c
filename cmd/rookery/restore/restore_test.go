package restore

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

var at = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)

// node answers on an administration socket as one that restores does.
type node struct {
	dir string

	mu      sync.Mutex
	planned []adminapi.RestoreOrder
	begun   []adminapi.RestoreOrder
	// polls is how often a restore still runs when it is looked at; end is how it ends.
	polls int
	end   adminapi.RestoreJob
	jobs  []adminapi.RestoreJob
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{dir: t.TempDir(), end: adminapi.RestoreJob{ID: "4f", State: "done", Done: 2, Total: 2, Bytes: 4096}}
	ln, err := net.Listen("unix", filepath.Join(n.dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/restores/plan", n.plan)
	mux.HandleFunc("POST /v1/restores", n.begin)
	mux.HandleFunc("GET /v1/restores", n.list)
	mux.HandleFunc("POST /v1/restores/{id}/cancel", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(adminapi.RestoreJob{ID: r.PathValue("id"), State: "cancelled"})
	})
	s := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return n
}

func (n *node) plan(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var o adminapi.RestoreOrder
	json.NewDecoder(r.Body).Decode(&o)
	n.planned = append(n.planned, o)
	json.NewEncoder(w).Encode(adminapi.RestorePlan{Account: "4f", To: "4f", At: o.At, Add: 2, Remove: 1, Flags: 3, Bytes: 4096,
		Mailboxes: []adminapi.PlannedMailbox{{Name: "Old\x1b[2J", Target: "Restored/Old", Created: true,
			Present: 5, Add: 2, Remove: 1, Flags: 3, Bytes: 4096}}})
}

func (n *node) begin(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var o adminapi.RestoreOrder
	json.NewDecoder(r.Body).Decode(&o)
	n.begun = append(n.begun, o)
	if strings.HasPrefix(o.Account, "nobody") {
		http.Error(w, "there is no such account", http.StatusNotFound)
		return
	}
	json.NewEncoder(w).Encode(adminapi.RestoreJob{ID: n.end.ID, State: "running", Total: 2})
}

func (n *node) list(w http.ResponseWriter, _ *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	j := n.end
	if n.polls > 0 {
		n.polls--
		j = adminapi.RestoreJob{ID: j.ID, State: "running", Done: 1, Total: 2}
	}
	all := append([]adminapi.RestoreJob{}, n.jobs...)
	if len(n.begun) > 0 {
		all = append([]adminapi.RestoreJob{j}, all...)
	}
	json.NewEncoder(w).Encode(all)
}

// orders are those that were planned and begun since.
func (n *node) orders() (planned, begun []adminapi.RestoreOrder) {
	n.mu.Lock()
	defer n.mu.Unlock()
	planned, begun = n.planned, n.begun
	n.planned, n.begun = nil, nil
	return planned, begun
}

func (n *node) call(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	v := Verb(&cli.Shell{Out: &out, Err: &out})
	v.SilenceErrors, v.SilenceUsage = true, true
	v.SetArgs(append(args, "--data", n.dir))
	err := v.ExecuteContext(t.Context())
	return out.String(), err
}

func has(t *testing.T, text string, pieces ...string) {
	t.Helper()
	narrow := strings.Join(strings.Fields(text), " ")
	for _, p := range pieces {
		if !strings.Contains(narrow, p) {
			t.Errorf("no %q in:\n%s", p, text)
		}
	}
}

// Each verb orders what its arguments and flags say.
func TestOrders(t *testing.T) {
	n := newNode(t)
	when := at.Format(time.RFC3339)
	for args, want := range map[string]adminapi.RestoreOrder{
		"mailbox anna@example.com":                               {},
		"mailbox anna@example.com --replace --exceed-quota":      {Replace: true, Exceed: true},
		"mailbox anna@example.com --to bo@example.com --into Up": {To: "bo@example.com", Into: "Up"},
		"folder anna@example.com Projects/2026 --replace":        {Mailbox: "Projects/2026", Replace: true},
		"message anna@example.com Ma Mb --into Up":               {Emails: []string{"Ma", "Mb"}, Into: "Up"},
	} {
		want.Account, want.At = "anna@example.com", at
		if text, err := n.call(t, append(strings.Fields(args), "--at", when, "--yes", "--no-wait")...); err != nil {
			t.Errorf("%s: %v: %s", args, err, text)
		}
		planned, begun := n.orders()
		if len(planned) != 0 || len(begun) != 1 || !same(begun[0], want) {
			t.Errorf("%s: planned %+v, begun %+v, want %+v", args, planned, begun, want)
		}
	}
}

func same(a, b adminapi.RestoreOrder) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

// Without a time, with one that is none, and without -yes where nobody can be asked,
// nothing is begun.
func TestNothingIsBegunUnasked(t *testing.T) {
	if cli.IsTerminal(os.Stdin) {
		t.Skip("standard input is a terminal")
	}
	n := newNode(t)
	for args, want := range map[string]string{
		"mailbox a@b --yes":                    "say as of when: -at TIME",
		"mailbox a@b --yes --at=":              "say as of when: -at TIME",
		"mailbox a@b --yes --at noon":          "is no time",
		"mailbox a@b --at=-2h":                 "there is no terminal: add -yes",
		"folder a@b --at=-2h --yes":            "arg",
		"message a@b --at=-2h --yes":           "arg",
		"message a@b M --at=-2h --replace":     "replace",
		"cancel":                               "arg",
		"users /nosuch/file --at=-2h --yes":    "no such file",
		"mailbox a@b --at=-2h --yes --nothing": "nothing",
	} {
		if _, err := n.call(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if _, begun := n.orders(); len(begun) > 0 {
		t.Errorf("begun: %+v", begun)
	}
}

func TestDryRun(t *testing.T) {
	n := newNode(t)
	text, err := n.call(t, "mailbox", "anna@example.com", "--at", at.Format(time.RFC3339), "--dry-run", "--into", "Restored")
	if err != nil {
		t.Error(err)
	}
	has(t, text, "As of 2026-11-30T10:00:00Z", "Old [2J Restored/Old (new) 5 2 1 3 4",
		"2 messages to add (4 KiB), 1 to remove, 3 with other flags")
	if strings.Contains(text, "\x1b") {
		t.Errorf("an escape reaches the terminal: %q", text)
	}
	var plan adminapi.RestorePlan
	text, err = n.call(t, "mailbox", "anna@example.com", "--at=-3d", "--dry-run", "--json")
	if err != nil || json.Unmarshal([]byte(text), &plan) != nil || plan.Add != 2 || !plan.Mailboxes[0].Created {
		t.Errorf("%v: %s", err, text)
	}
	planned, begun := n.orders()
	if len(planned) != 2 || len(begun) != 0 {
		t.Errorf("planned %+v, begun %+v", planned, begun)
	}
	if ago := time.Since(planned[1].At); ago < 71*time.Hour || ago > 74*time.Hour {
		t.Errorf("-3d is %v ago", ago)
	}
}

// A restore is looked at until it has ended, and one that failed is no success.
func TestItWaitsForTheEnd(t *testing.T) {
	n := newNode(t)
	n.polls = 1
	text, err := n.call(t, "mailbox", "anna@example.com", "--at=-2h", "--yes")
	if err != nil {
		t.Error(err)
	}
	has(t, text, "restore 4f: done, 2 messages brought back (4 KiB)")
	n.end = adminapi.RestoreJob{ID: "5f", State: "failed", Done: 1, Total: 2, Text: "the account is over its quota"}
	var j adminapi.RestoreJob
	text, err = n.call(t, "mailbox", "anna@example.com", "--at=-2h", "--yes", "--json")
	if cli.ExitCode(err) != 1 || !strings.Contains(err.Error(), "over its quota") ||
		json.Unmarshal([]byte(text), &j) != nil || j.State != "failed" {
		t.Errorf("%v: %s", err, text)
	}
}

// One that cannot be restored does not keep the others from it, and is named.
func TestUsers(t *testing.T) {
	n := newNode(t)
	file := filepath.Join(t.TempDir(), "leavers")
	if err := os.WriteFile(file, []byte("# leavers\nanna@example.com\n\n nobody@example.com # gone\r\nbo@example.com"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := n.call(t, "users", file, "--at=-1d", "--yes", "--no-wait")
	if cli.ExitCode(err) != 1 || !strings.Contains(err.Error(), "1 were not restored") ||
		!strings.Contains(err.Error(), "nobody@example.com: ") {
		t.Errorf("code %d: %v", cli.ExitCode(err), err)
	}
	_, begun := n.orders()
	var got []string
	for _, o := range begun {
		got = append(got, o.Account)
	}
	if strings.Join(got, " ") != "anna@example.com nobody@example.com bo@example.com" {
		t.Errorf("begun for %q", got)
	}
}

func TestListAndCancel(t *testing.T) {
	n := newNode(t)
	text, err := n.call(t, "list")
	if err != nil {
		t.Error(err)
	}
	has(t, text, "Nothing was restored.")
	n.jobs = []adminapi.RestoreJob{{ID: "7f", Address: "anna@example.com", At: at, State: "running", Done: 5, Total: 9,
		Began: at, By: "root", Text: "x\x1b"}}
	if text, err = n.call(t, "list"); err != nil || strings.Contains(text, "\x1b") {
		t.Errorf("%v %q", err, text)
	}
	has(t, text, "7f anna@example.com 2026-11-30T10:00:00Z running 5 of 9 2026-11-30T10:00:00Z root x")
	var all []adminapi.RestoreJob
	if text, err = n.call(t, "list", "--json"); err != nil || json.Unmarshal([]byte(text), &all) != nil || len(all) != 1 || all[0].Total != 9 {
		t.Errorf("%v: %s", err, text)
	}
	if text, err = n.call(t, "cancel", "7f"); err != nil {
		t.Error(err)
	}
	has(t, text, "restore 7f: cancelled")
}
