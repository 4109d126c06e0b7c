package machine

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"rookery/cmd/node"
	"rookery/cmd/rookery/cli"
)

// Serve is rookery serve.
func Serve(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "serve -config FILE", Short: "run a node of a cluster", Args: cobra.ExactArgs(0),
		Long: `Runs one node with the facts of its file: name, data directory, listeners,
certificate (rookery config sample -node prints a sample). What is the same on
every node (domains, directories, object store, limits) is a cluster setting: see
rookery help config.

SIGINT and SIGTERM end it cleanly: sessions are told, running commands finish.
Started on a full disk it waits for room.`,
		Example: "  rookery serve -config /etc/rookery/rookery.toml",
		Annotations: cli.Exits("5 the disk turned out to be full at an fsync; a line says so", "6 damaged data",
			"7 this node was removed from the cluster"),
	}
	path := v.Flags().String("config", "", "path of the node file")
	level := v.Flags().String("log-level", "info", "debug, info, warn or error")
	v.RunE = func(c *cobra.Command, _ []string) error {
		if *path == "" {
			return cli.Usagef("needs -config FILE")
		}
		logger, err := s.Logger(*level)
		if err != nil {
			return err
		}
		cfg, err := LoadNodeFile(*path)
		if err != nil {
			return err
		}
		n, err := node.Open(c.Context(), cfg, node.Deps{Logger: logger, AwaitRoom: true})
		if err != nil {
			return err
		}
		logger.Info("serving", "node", cfg.Name, "data", cfg.DataDir)
		select {
		case <-c.Context().Done():
		case <-n.Ended():
		}
		return errors.Join(n.Err(), closeNode(n))
	}
	return v
}

// StopWithin bounds a clean stop: running commands finish, then it ends.
const StopWithin = 20 * time.Second

func closeNode(n *node.Node) error {
	ctx, cancel := context.WithTimeout(context.Background(), StopWithin)
	defer cancel()
	return n.Close(ctx)
}
