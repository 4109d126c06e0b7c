package trace

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery/cmd/node/peers"
)

func query() peers.RecentQuery {
	return peers.RecentQuery{Until: time.Now().Add(time.Hour).UnixNano(), Limit: 10}
}

// Refusals and sign-ins are kept, nothing else, beside what the log gets.
func TestRecentKeepsRefusals(t *testing.T) {
	var text strings.Builder
	r := NewRecent(filepath.Join(t.TempDir(), "recent"), time.Now)
	defer r.Close()
	l := r.Logger(slog.New(slog.NewTextHandler(&text, nil))).With("part", "smtp")
	if got, err := r.Find(query()); err != nil || len(got.Lines) > 0 {
		t.Errorf("before the first line: %s, %v", got.Lines, err)
	}
	l.Info("message accepted", "from", "a@example.org")
	l.Info("refused", "from", "a@example.org", "to", "b@example.com, c@example.com", "client", "192.0.2.1")
	l.Info("sign-in", "user", "bob", "client", "192.0.2.2")
	if n := strings.Count(text.String(), "\n"); n != 3 {
		t.Errorf("the log has %d lines", n)
	}
	for name, c := range map[string]struct {
		change func(q *peers.RecentQuery)
		want   int
	}{
		"all":               {func(*peers.RecentQuery) {}, 2},
		"recipient":         {func(q *peers.RecentQuery) { q.Recipient = "C@example.com" }, 1},
		"recipient's part":  {func(q *peers.RecentQuery) { q.Recipient = "example.com" }, 0},
		"recipient, domain": {func(q *peers.RecentQuery) { q.Recipient = "@example.com" }, 1},
		"user":              {func(q *peers.RecentQuery) { q.User = "bob" }, 1},
		"client":            {func(q *peers.RecentQuery) { q.Client = "192.0.2.1" }, 1},
		"sender":            {func(q *peers.RecentQuery) { q.Sender = "x@example.org" }, 0},
		"later":             {func(q *peers.RecentQuery) { q.From = time.Now().Add(time.Minute).UnixNano() }, 0},
	} {
		q := query()
		c.change(&q)
		if got, err := r.Find(q); err != nil || len(got.Lines) != c.want {
			t.Errorf("%s: %s, %v", name, got.Lines, err)
		}
	}
	q := query()
	q.Limit = 1
	if got, err := r.Find(q); err != nil || len(got.Lines) != 1 || !got.More || !strings.Contains(string(got.Lines[0]), "bob") {
		t.Errorf("the newest: %s, %v", got.Lines, err)
	}
}

// The files stay within their bounds, and go when they are old; what a crash has
// cut off hides nothing.
func TestRecentIsBounded(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	r := NewRecent(dir, func() time.Time { return now })
	line := []byte(`{"time":"` + now.Format(time.RFC3339Nano) + `","msg":"refused","why":"` + strings.Repeat("x", 40<<10) + "\"}\n")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 * maxFile / len(line) / 4 {
				if _, err := r.Write(line); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	total := int64(0)
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		info, _ := f.Info()
		total += info.Size()
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", f.Name(), info.Mode())
		}
	}
	if len(files) != 2 || total > 2*maxFile || total < maxFile {
		t.Errorf("%d files of %d bytes", len(files), total)
	}
	r.Close()
	f, err := os.OpenFile(filepath.Join(dir, newer), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"time":"2026-`)
	f.Close()
	r = NewRecent(dir, func() time.Time { return now })
	if got, err := r.Find(query()); err != nil || len(got.Lines) != 10 || !got.More {
		t.Errorf("%d lines, %v", len(got.Lines), err)
	}
	now = now.Add(maxAge + time.Minute)
	if got, err := r.Find(query()); err != nil || len(got.Lines) != 0 {
		t.Errorf("%d old lines, %v", len(got.Lines), err)
	}
	if err := r.Forget(); err != nil {
		t.Error(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("%d old files are left", len(files))
	}
}
