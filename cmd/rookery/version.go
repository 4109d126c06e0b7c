package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"

	"rookery/cmd/node"
)

func versionVerb() verb {
	v := verb{
		name: "version", short: "print the version",
		long: "Prints the version of the binary, of the Go it was built with, and of the\nhighest commands it reads (see rookery help upgrade).\n\nExample: rookery version",
	}
	v.run = func(_ context.Context, s *shell, args []string) error {
		if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
			printUsage(s, v, nil)
			return flag.ErrHelp
		}
		if len(args) > 0 {
			return usagef("takes no arguments")
		}
		version := node.BinaryVersion()
		fmt.Fprintf(s.out, "rookery %s %s, command version %d\n", version, runtime.Version(), node.CommandVersion)
		return nil
	}
	return v
}
