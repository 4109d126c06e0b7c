package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"rookery/cmd/node"
	"rookery/cmd/node/members"
)

func versionVerb(s *shell) *cobra.Command {
	v := &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.ExactArgs(0), Annotations: exits(),
		Long:    "Prints the version of the binary, of the Go it was built with, and of the\nhighest commands it reads (see rookery help upgrade).",
		Example: "  rookery version",
	}
	asJSON := v.Flags().Bool("json", false, "print JSON")
	v.RunE = func(*cobra.Command, []string) error {
		version := node.BinaryVersion()
		if *asJSON {
			return s.line(map[string]any{"version": version, "go": runtime.Version(), "commands": members.CommandVersion})
		}
		_, err := fmt.Fprintf(s.out, "rookery %s %s, command version %d\n", version, runtime.Version(), members.CommandVersion)
		return err
	}
	return v
}
