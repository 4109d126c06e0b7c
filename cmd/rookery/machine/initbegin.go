package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"rookery"
	"rookery/cmd/node"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/inforce"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/settings"
	"rookery/cmd/rookery/cli"
)

// Begun is what init --json prints.
type Begun struct {
	DataDir string `json:"data_dir"`
	Kit     string `json:"recovery_kit"`
}

// begin tries the settings, makes the cluster, and writes the recovery kit.
func begin(ctx context.Context, s *cli.Shell, i initFlags, asJSON bool) error {
	cfg, err := LoadNodeFile(*i.config)
	if err != nil {
		return err
	}
	found, err := i.founding(cfg.DataDir)
	if err != nil {
		return err
	}
	kit, err := kitPlace(*i.kit)
	if err != nil {
		return err
	}
	unlock, err := lockParent(cfg.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := datadir.Creatable(cfg); err != nil {
		return err
	}
	if term, ok := cli.OpenTerminal(); ok {
		defer term.Close()
		found.term = term
	}
	if err := found.complete(ctx); err != nil {
		return err
	}
	logger, err := s.Logger("warn")
	if err != nil {
		return err
	}
	progress := s.Out
	if asJSON {
		progress = io.Discard
	}
	for _, check := range inforce.Check(ctx, *found.set, cfg.DataDir, logger) {
		fmt.Fprintf(progress, "%-40s %s\n", check.What, check.Result)
		if check.Err != nil {
			return check.Err
		}
	}
	if err := objects.Unowned(ctx, &found.set.Store, cfg.DataDir); err != nil {
		return err
	}
	if err := BeginCluster(ctx, cfg, found.set, logger); err != nil {
		return err
	}
	if err := datadir.Dir(cfg.DataDir).WriteKit(kit, time.Now(), !found.set.Backup.On()); err != nil {
		return rookery.E("begin cluster", rookery.KindDenied,
			fmt.Errorf("the cluster has begun in %s, but without its recovery kit: %w; start the node, then run: rookery key kit "+
				"FILE -data %s", cfg.DataDir, err, cfg.DataDir))
	}
	if asJSON {
		return s.Line(Begun{cfg.DataDir, kit})
	}
	fmt.Fprintf(s.Out, "\nThe cluster has begun in %s.\nRecovery kit: %s\n  Move it off this machine now; without it lost keys "+
		"mean lost mail, and who has it can read all mail.\n", cfg.DataDir, kit)
	_, err = fmt.Fprintf(s.Out, "Next: rookery serve -config %s\n      rookery token -data %s\n", *i.config, cfg.DataDir)
	return err
}

// kitPlace tries where the kit is to lie before anything is made: a cluster
// without one is worse than none.
func kitPlace(path string) (string, error) {
	const op = "write recovery kit"
	path, err := filepath.Abs(path)
	if err != nil {
		return "", rookery.E(op, rookery.KindInvalid, err)
	}
	if cli.Exists(path) {
		return "", rookery.E(op, rookery.KindExists, fmt.Errorf("%s exists; name another file with -kit", path))
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".kit*")
	if err != nil {
		return "", rookery.E(op, rookery.KindDenied, fmt.Errorf("%w; name a file in a directory that can be written with -kit", err))
	}
	return path, errors.Join(f.Close(), os.Remove(f.Name()))
}

// BeginCluster makes the first node and writes the first settings, while no
// other init is at work. It opens the node without listeners, so nobody is
// served before this has worked.
func BeginCluster(ctx context.Context, cfg settings.Node, set *settings.Cluster, logger *slog.Logger) (err error) {
	quiet := cfg
	quiet.Listen = settings.Listen{}
	fresh := !cli.Exists(cfg.DataDir)
	n, err := node.Open(ctx, quiet, node.Deps{Logger: logger, Settings: set, Create: true})
	if err != nil {
		// What is half made must not stand in the way of the next attempt; what
		// another process makes there is not ours.
		if fresh && !errors.Is(err, datadir.ErrInUse) {
			os.RemoveAll(cfg.DataDir)
		}
		return err
	}
	return closeNode(n)
}

// lockParent keeps a second init away until unlock: one that fails, or tries the
// object store, removes what it made. The lock is on the directory above, for the data directory comes and
// goes.
func lockParent(dir string) (unlock func() error, err error) {
	const op = "begin cluster"
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, rookery.E(op, rookery.KindDenied, err)
	}
	f, err := os.Open(parent)
	if errors.Is(err, os.ErrPermission) { // it may be passed through, not read
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, rookery.E(op, rookery.KindDenied, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, rookery.E(op, rookery.KindConflict, fmt.Errorf("another rookery init is at work in %s; wait for it to end", parent))
	}
	return f.Close, nil
}
