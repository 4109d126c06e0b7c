package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"rookery"
	"rookery/cmd/node"
)

const initLong = `Begins a cluster on its first machine: makes the data directory named in the
node file with the cluster's CA, the node's identity and the encryption keys,
writes the settings, and tests the directory and the object store they name.

It also writes the recovery kit: the keys without which nothing can be read.
Keep it off the cluster, in a safe place: who has it can read all mail.

Then start the node with rookery serve, mint a token for each further machine
with rookery token, and enter them with rookery join.

A sample of the settings:  rookery config sample
Example: rookery init -config /etc/rookery/rookery.toml -settings settings.toml -kit /root/rookery-recovery-kit.json`

func initVerb() verb {
	v := verb{name: "init", args: "-config FILE -settings FILE [-kit FILE]", short: "begin a cluster on its first machine", long: initLong}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		config := f.String("config", "", "path of the node file")
		settings := f.String("settings", "", "path of the settings (- is standard input)")
		kit := f.String("kit", "rookery-recovery-kit.json", "where to write the recovery kit")
		if err := parse(f, args); err != nil {
			return err
		}
		if *config == "" || *settings == "" || f.NArg() > 0 {
			return usagef("needs -config FILE and -settings FILE")
		}
		cfg, err := node.LoadConfig(*config)
		if err != nil {
			return err
		}
		doc, err := readInput(*settings)
		if err != nil {
			return err
		}
		set, err := node.ParseSettings(doc)
		if err != nil {
			return err
		}
		if exists(*kit) {
			return rookery.E("write recovery kit", rookery.KindExists, fmt.Errorf("%s exists; name another file with -kit", *kit))
		}
		logger, err := newLogger(s, "warn")
		if err != nil {
			return err
		}
		for _, check := range node.CheckSettings(ctx, set, logger) {
			fmt.Fprintf(s.out, "%-40s %s\n", check.What, check.Result)
			if check.Err != nil {
				return check.Err
			}
		}
		if err := beginCluster(ctx, cfg, &set, logger); err != nil {
			return err
		}
		if err := node.WriteRecoveryKit(cfg.DataDir, *kit, time.Now()); err != nil {
			return err
		}
		abs, _ := filepath.Abs(*kit)
		fmt.Fprintf(s.out, "\nThe cluster has begun in %s.\nRecovery kit: %s\n  Move it off this machine now; without it lost keys mean lost mail, and who has it can read all mail.\n", cfg.DataDir, abs)
		fmt.Fprintf(s.out, "Next: rookery serve -config %s\n      rookery token -data %s\n", *config, cfg.DataDir)
		return nil
	}
	return v
}

// beginCluster makes the first node and writes the first settings. It opens
// the node without listeners, so nobody is served before this has worked.
func beginCluster(ctx context.Context, cfg node.Config, set *node.Settings, logger *slog.Logger) (err error) {
	if err := set.Validate(); err != nil {
		return err
	}
	quiet := cfg
	quiet.Listen = node.Listen{}
	fresh := !exists(cfg.DataDir)
	n, err := node.Open(ctx, quiet, node.Deps{Logger: logger, Settings: set, Create: true})
	if err != nil {
		// What is half made must not stand in the way of the next attempt.
		if fresh {
			os.RemoveAll(cfg.DataDir)
		}
		return err
	}
	return closeNode(n)
}
