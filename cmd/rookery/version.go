package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/storage/command"
)

func versionVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.ExactArgs(0), Annotations: cli.Exits(),
		Long: "Prints the version of the binary, of the Go it was built with, and of the\nhighest commands it reads (see rookery " +
			"help upgrade).",
		Example: "  rookery version",
	}
	asJSON := v.Flags().Bool("json", false, "print JSON")
	v.RunE = func(*cobra.Command, []string) error {
		version := adminapi.BinaryVersion()
		if *asJSON {
			return s.Line(map[string]any{"version": version, "go": runtime.Version(), "commands": command.Version})
		}
		_, err := fmt.Fprintf(s.Out, "rookery %s %s, command version %d\n", version, runtime.Version(), command.Version)
		return err
	}
	return v
}
