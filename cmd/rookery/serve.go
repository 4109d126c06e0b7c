package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"rookery/cmd/node"
)

func serveVerb() verb {
	v := verb{
		name: "serve", args: "-config FILE [-log-level LEVEL]",
		short: "run a node of a cluster",
		long: `Runs one node with the facts of its file: name, data directory, listeners,
certificate. What is the same on every node (domains, directories, object
store, limits) is a cluster setting: see rookery help config.

A sample of the file:  rookery config sample -node
Example:               rookery serve -config /etc/rookery/rookery.toml

SIGINT and SIGTERM end it cleanly: sessions are told, running commands finish.
A node that was removed from the cluster ends with exit code 7. One whose disk
turns out to be full at an fsync ends with exit code 5 and a line that says so;
started on a full disk it waits for room.
`,
	}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		path := f.String("config", "", "path of the node file")
		level := f.String("log-level", "info", "debug, info, warn or error")
		if err := parse(f, args); err != nil {
			return err
		}
		if *path == "" || f.NArg() > 0 {
			return usagef("needs -config FILE and nothing else")
		}
		logger, err := newLogger(s, *level)
		if err != nil {
			return err
		}
		cfg, err := node.LoadConfig(*path)
		if err != nil {
			return err
		}
		n, err := node.Open(ctx, cfg, node.Deps{Logger: logger, AwaitRoom: true})
		if err != nil {
			return err
		}
		logger.Info("serving", "node", cfg.Name, "data", cfg.DataDir)
		select {
		case <-ctx.Done():
		case <-n.Ended():
		}
		return errors.Join(n.Err(), closeNode(n))
	}
	return v
}

// stopWithin bounds a clean stop: running commands finish, then it ends.
const stopWithin = 20 * time.Second

func closeNode(n *node.Node) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return n.Close(ctx)
}

func newLogger(s *shell, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("-log-level %s: use debug, info, warn or error", level)
	}
	h := slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: l})
	return slog.New(h).With(slog.Int("pid", os.Getpid())), nil
}
