package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rookery"
)

// calls is an audit that keeps what it is told.
type calls struct {
	told []string
	fail error
}

func (c *calls) begin(_ context.Context, verb, args string) (uint64, error) {
	c.told = append(c.told, strings.TrimSpace(verb+" "+args))
	return uint64(len(c.told)), c.fail
}

func (c *calls) end(_ context.Context, call uint64, outcome string) error {
	c.told = append(c.told, fmt.Sprint(call, " ", outcome))
	return nil
}

func request(t *routes, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	t.mux.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

// Every route is declared to read or to change, and none that changes is begun
// where it cannot be recorded: the server here is empty, and would panic.
func TestNoRouteChangesWithoutAudit(t *testing.T) {
	audit := &calls{fail: errors.New("no quorum")}
	table := newRoutes(audit, slog.New(slog.DiscardHandler))
	new(Server).routes(table)
	if len(table.entries) < 20 {
		t.Fatalf("%d routes: the test looks at too little", len(table.entries))
	}
	for _, e := range table.entries {
		method, path, _ := strings.Cut(e.pattern, " ")
		if e.verb == "" {
			if method != http.MethodGet {
				t.Errorf("%s is declared to read", e.pattern)
			}
			continue
		}
		if method == http.MethodGet {
			t.Errorf("%s changes something", e.pattern)
		}
		body := fmt.Sprintf(`{%q: true}`, e.when)
		w := request(table, method, strings.NewReplacer("{", "", "}", "").Replace(path), body)
		if w.Code != httpStatus[rookery.KindUnavailable] || !strings.Contains(w.Body.String(), "nothing was changed") {
			t.Errorf("%s without audit answers %d: %s", e.pattern, w.Code, w.Body)
		}
	}
}

func TestCallsAreRecordedBeforeAndAfter(t *testing.T) {
	audit := &calls{}
	table := newRoutes(audit, slog.New(slog.DiscardHandler))
	table.reads("GET /look", func(w http.ResponseWriter, r *http.Request) { reply(w, 1) })
	table.changes("POST /nodes/{name}/{state}", "{state}", func(w http.ResponseWriter, r *http.Request) {
		audit.told = append(audit.told, "act")
		noteDetail(w, "as asked")
		reply(w, 1)
	})
	table.changes("POST /fail", "fail", func(w http.ResponseWriter, r *http.Request) {
		replyError(w, rookery.E("fail", rookery.KindConflict, errors.New("it cannot be")))
	})
	table.changesWhen("repair", "POST /check", "check", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, func(context.Context, struct{}, func(any) error) error { return errors.New("broken") })
	})
	for _, c := range []struct {
		method, path, body string
		told               []string
	}{
		{"GET", "/look", "", nil},
		{"POST", "/nodes/mail2/drain", `{}`, []string{"drain mail2", "act", "1 done: as asked"}},
		{"POST", "/fail", `{"document": "secret", "version": 3}`, []string{`fail {"version":3}`, "1 failed: fail: it cannot be"}},
		{"POST", "/check", `{"sample": 0.1}`, nil},
		{"POST", "/check", `{"repair": true}`, []string{`check {"repair":true}`, "1 failed: broken"}},
	} {
		audit.told = nil
		request(table, c.method, c.path, c.body)
		if !slices.Equal(audit.told, c.told) {
			t.Errorf("%s %s: %q, want %q", c.method, c.path, audit.told, c.told)
		}
	}
}

func modeOf(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().String()
}

func TestSocketIsTheGroupsWhereThereIsOne(t *testing.T) {
	ln, err := Listen(t.Context(), filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	path := ln.Addr().String()
	me, err := user.Current()
	if err != nil {
		t.Skip("this user has no name")
	}
	mine, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Skip("this user's group has no name")
	}
	for group, want := range map[string]string{mine.Name: "Srw-rw----", "no-such-group": "Srw-------"} {
		if err := shareSocket(path, group); err != nil || modeOf(t, path) != want {
			t.Errorf("group %s: %s, %v, want %s", group, modeOf(t, path), err, want)
		}
	}
}
