package trace

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"rookery/cmd/node/peers"
)

// What of the log is kept: the messages of package listen's refusals and of
// package signin's line.
var kept = []string{"refused", "deferred", "sign-in"}

// How much is kept of them, in bytes of each of two files, and for how long.
const (
	maxFile = 32 << 20
	maxAge  = 7 * 24 * time.Hour
)

// Recent keeps the log's lines of refusals and sign-ins in two files, of which the
// older is replaced when the newer is full. All methods may be called
// concurrently.
type Recent struct {
	dir   string
	clock func() time.Time

	mu     sync.Mutex
	file   *os.File // nil until the first line, and after Close
	size   int64
	closed bool
}

// NewRecent keeps lines in a directory, which is made with the first of them.
func NewRecent(dir string, clock func() time.Time) *Recent { return &Recent{dir: dir, clock: clock} }

// Logger is a logger whose refusals and sign-ins are kept besides.
func (r *Recent) Logger(l *slog.Logger) *slog.Logger {
	own := slog.NewJSONHandler(r, nil)
	return slog.New(slog.NewMultiHandler(l.Handler(), picking{own}))
}

// picking hands on what is kept.
type picking struct{ slog.Handler }

func (p picking) Handle(ctx context.Context, rec slog.Record) error {
	if !slices.Contains(kept, rec.Message) {
		return nil
	}
	return p.Handler.Handle(ctx, rec)
}

func (p picking) WithAttrs(a []slog.Attr) slog.Handler { return picking{p.Handler.WithAttrs(a)} }
func (p picking) WithGroup(name string) slog.Handler   { return picking{p.Handler.WithGroup(name)} }

func (r *Recent) path(name string) string { return filepath.Join(r.dir, name) }

const (
	newer = "recent.jsonl"
	older = "recent.1.jsonl"
)

// Write implements io.Writer for one line.
func (r *Recent) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, fs.ErrClosed
	}
	if r.file != nil && r.size+int64(len(line)) > maxFile {
		r.file.Close()
		r.file = nil
		if err := os.Rename(r.path(newer), r.path(older)); err != nil {
			return 0, err
		}
	}
	if r.file == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	n, err := r.file.Write(line)
	r.size += int64(n)
	return n, err
}

func (r *Recent) open() error {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(r.path(newer), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	r.file, r.size = f, info.Size()
	return nil
}

// Close ends the keeping.
func (r *Recent) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// Forget removes files whose last line is older than a week.
func (r *Recent) Forget() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var failed error
	for _, name := range []string{older, newer} {
		info, err := os.Stat(r.path(name))
		if err != nil || r.clock().Sub(info.ModTime()) < maxAge {
			continue
		}
		if name == newer && r.file != nil {
			r.file.Close()
			r.file = nil
		}
		failed = errors.Join(failed, os.Remove(r.path(name)))
	}
	return failed
}

// line is what a query looks at; the rest of a line is passed on as it is.
type line struct {
	Time   time.Time `json:"time"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	User   string    `json:"user"`
	Client string    `json:"client"`
}

// Find gives the newest lines that a query picks, the oldest first.
func (r *Recent) Find(q peers.RecentQuery) (found peers.Recents, err error) {
	from := max(q.From, r.clock().Add(-maxAge).UnixNano())
	for _, name := range []string{older, newer} {
		err := r.scan(name, func(text []byte) {
			var l line
			if json.Unmarshal(text, &l) != nil {
				return // cut off by a crash
			}
			if at := l.Time.UnixNano(); at < from || at >= q.Until || !l.matches(&q) {
				return
			}
			if found.Lines = append(found.Lines, bytes.Clone(text)); len(found.Lines) > q.Limit {
				found.Lines, found.More = found.Lines[1:], true
			}
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
	}
	return found, nil
}

func (l *line) matches(q *peers.RecentQuery) bool {
	return matches(q.Sender, l.From) && matches(q.User, l.User) && matches(q.Client, l.Client) &&
		(q.Recipient == "" || slices.ContainsFunc(strings.Split(l.To, ", "), func(to string) bool { return matches(q.Recipient, to) }))
}

// matches compares an address with a filter: another one, or "@domain".
func matches(filter, address string) bool {
	if strings.HasPrefix(filter, "@") {
		return len(address) >= len(filter) && strings.EqualFold(filter, address[len(address)-len(filter):])
	}
	return filter == "" || strings.EqualFold(filter, address)
}

// maxLine bounds a line: package listen bounds its fields.
const maxLine = 64 << 10

func (r *Recent) scan(name string, fn func(text []byte)) error {
	f, err := os.Open(r.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(make([]byte, 0, maxLine), maxLine)
	for s.Scan() {
		fn(s.Bytes())
	}
	return s.Err()
}
