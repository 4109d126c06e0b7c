package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"rookery"
	"rookery/cmd/rookery/cli"
)

func manVerb(s *cli.Shell) *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "write the manual pages", Args: cobra.ExactArgs(1), Annotations: cli.Exits(),
		Long:    "Writes a manual page (section 1) of every command into a directory, which is made\nif it is not there.",
		Example: "  rookery man /usr/local/share/man/man1",
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return rookery.E("write manual", rookery.KindDenied, err)
			}
			c.Root().DisableAutoGenTag = true
			if err := doc.GenManTree(c.Root(), &doc.GenManHeader{Section: "1", Source: "Rookery", Manual: "Rookery"}, args[0]); err != nil {
				return rookery.E("write manual", rookery.KindDenied, err)
			}
			return nil
		},
	}
}
