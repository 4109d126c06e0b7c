package main

import (
	"cmp"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// shell is what a verb may touch of the outside.
type shell struct {
	out, err io.Writer
}

// print writes a value as indented JSON.
func (s *shell) print(v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// line writes a value as one line of JSON.
func (s *shell) line(v any) error { return json.NewEncoder(s.out).Encode(v) }

// logger writes to standard error what is at least of a level.
func (s *shell) logger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("-log-level %s: use debug, info, warn or error", level)
	}
	h := slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: l})
	return slog.New(h).With(slog.Int("pid", os.Getpid())), nil
}

// asking is what the verbs share that ask a running node: where it is, and how
// the answer is printed.
type asking struct {
	*shell
	data, socket string
	json         bool
}

// ask adds the flags of asking.
func (s *shell) ask(f *pflag.FlagSet) *asking {
	a := &asking{shell: s}
	f.StringVar(&a.data, "data", dataDefault("rookery-data"), "data directory of the node to talk to; ROOKERY_DATA names another default")
	f.StringVar(&a.socket, "socket", "", "path of the node's administration socket (default DIR/admin.sock)")
	f.BoolVar(&a.json, "json", false, "print JSON")
	return a
}

// dataDefault is the data directory where no flag names one.
func dataDefault(otherwise string) string { return cmp.Or(os.Getenv("ROOKERY_DATA"), otherwise) }

func (a *asking) admin() *adminapi.Client {
	return adminapi.New(cmp.Or(a.socket, adminSocket(a.data)))
}

// progress is where a verb that waits tells how far it is: nowhere with --json.
func (a *asking) progress() io.Writer {
	if a.json {
		return io.Discard
	}
	return a.out
}

// adminSocket finds the socket below a data directory, also in the one of a
// dev cluster, where the first node that answers is meant.
func adminSocket(dir string) string {
	path := filepath.Join(dir, "admin.sock")
	if exists(path) {
		return path
	}
	for k := range devNodes {
		of := filepath.Join(dir, nodeName(k), "admin.sock")
		if c, err := net.DialTimeout("unix", of, time.Second); err == nil {
			c.Close()
			return of
		}
		if k == 0 && exists(of) {
			path = of // to be named where none answers
		}
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readInput reads a file, or standard input where the path is -.
func readInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, rookery.E("read file", rookery.KindNotFound, err)
	}
	return b, nil
}

// dash is what a table shows where there is nothing.
func dash(s string) string { return cmp.Or(s, "-") }

func stamp(t time.Time) string {
	if t.IsZero() || t.Unix() <= 0 {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
