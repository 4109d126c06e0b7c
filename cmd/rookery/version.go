package main

import (
	"fmt"
	"runtime"

	"rookery/cmd/node/adminapi"
	"rookery/storage/command"

	"github.com/spf13/cobra"
)

func versionVerb(s *shell) *cobra.Command {
	v := &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.ExactArgs(0), Annotations: exits(),
		Long: "Prints the version of the binary, of the Go it was built with, and of the\nhighest commands it reads (see rookery " +
			"help upgrade).",
		Example: "  rookery version",
	}
	asJSON := v.Flags().Bool("json", false, "print JSON")
	v.RunE = func(*cobra.Command, []string) error {
		version := adminapi.BinaryVersion()
		if *asJSON {
			return s.line(map[string]any{"version": version, "go": runtime.Version(), "commands": command.Version})
		}
		_, err := fmt.Fprintf(s.out, "rookery %s %s, command version %d\n", version, runtime.Version(), command.Version)
		return err
	}
	return v
}
