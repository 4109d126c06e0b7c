// Package cli is what the operator's verbs share: output and JSON, exit codes,
// the terminal and its questions, bars of progress, and the way to a running
// node. It owns how verbs look and end; it does nothing to a cluster.
package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
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

// Shell is what a verb may touch of the outside.
type Shell struct {
	Out, Err io.Writer
}

// Print writes a value as indented JSON.
func (s *Shell) Print(v any) error {
	enc := json.NewEncoder(s.Out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Line writes a value as one line of JSON.
func (s *Shell) Line(v any) error { return json.NewEncoder(s.Out).Encode(v) }

// Logger writes to standard error what is at least of a level.
func (s *Shell) Logger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, Usagef("-log-level %s: use debug, info, warn or error", level)
	}
	h := slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: l})
	return slog.New(h).With(slog.Int("pid", os.Getpid())), nil
}

// Asking is what the verbs share that ask a running node: where it is, and how
// the answer is printed.
type Asking struct {
	*Shell
	Data, Socket string
	JSON         bool
}

// Ask adds the flags of asking.
func (s *Shell) Ask(f *pflag.FlagSet) *Asking {
	a := &Asking{Shell: s}
	f.StringVar(&a.Data, "data", DataDefault("rookery-data"), "data directory of the node to talk to; ROOKERY_DATA names another default")
	f.StringVar(&a.Socket, "socket", "", "path of the node's administration socket (default DIR/admin.sock)")
	f.BoolVar(&a.JSON, "json", false, "print JSON")
	return a
}

// DataDefault is the data directory where no flag names one.
func DataDefault(otherwise string) string { return cmp.Or(os.Getenv("ROOKERY_DATA"), otherwise) }

// Admin is the node that is asked.
func (a *Asking) Admin() *adminapi.Client {
	return adminapi.New(cmp.Or(a.Socket, AdminSocket(a.Data)))
}

// Progress is where a verb that waits tells how far it is: nowhere with --json.
func (a *Asking) Progress() io.Writer {
	if a.JSON {
		return io.Discard
	}
	return a.Out
}

// AdminSocket finds the socket below a data directory, also in the one of a
// dev cluster, where the first node that answers is meant.
func AdminSocket(dir string) string {
	path := filepath.Join(dir, "admin.sock")
	if Exists(path) {
		return path
	}
	for k := range MaxDevNodes {
		of := filepath.Join(dir, DevNode(k), "admin.sock")
		if c, err := net.DialTimeout("unix", of, time.Second); err == nil {
			c.Close()
			return of
		}
		if k == 0 && Exists(of) {
			path = of // to be named where none answers
		}
	}
	return path
}

// Exists reports whether there is anything at a path.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ReadInput reads a file, or standard input where the path is -.
func ReadInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, rookery.E("read file", rookery.KindNotFound, err)
	}
	return b, nil
}

// Dash is what a table shows where there is nothing.
func Dash(s string) string { return cmp.Or(s, "-") }

// Stamp writes a time as tables show it.
func Stamp(t time.Time) string {
	if t.IsZero() || t.Unix() <= 0 {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// MaxDevNodes is how many nodes a cluster of rookery dev may have.
const MaxDevNodes = 7

// DevNode is the name of its node k, counted from 0, and of the node's data
// directory in that of the cluster.
func DevNode(k int) string { return fmt.Sprintf("node%d", k+1) }
