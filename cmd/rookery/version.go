package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"

	"rookery/cmd/node"
)

func versionVerb() verb {
	v := verb{
		name: "version", args: "[--json]", short: "print the version",
		long: "Prints the version of the binary, of the Go it was built with, and of the\nhighest commands it reads (see rookery help upgrade).\n\nExample: rookery version",
	}
	v.run = func(_ context.Context, s *shell, args []string) error {
		f := s.flags(v)
		asJSON := f.Bool("json", false, "print JSON")
		if err := parse(f, args); err != nil {
			return err
		}
		if f.NArg() > 0 {
			return usagef("takes no arguments")
		}
		version := node.BinaryVersion()
		if *asJSON {
			return json.NewEncoder(s.out).Encode(map[string]any{"version": version, "go": runtime.Version(), "commands": node.CommandVersion})
		}
		_, err := fmt.Fprintf(s.out, "rookery %s %s, command version %d\n", version, runtime.Version(), node.CommandVersion)
		return err
	}
	return v
}
