package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

func versionVerb() verb {
	v := verb{
		name: "version", short: "print the version",
		long: "Prints the version of the binary and of the Go it was built with.\n\nExample: rookery version",
	}
	v.run = func(_ context.Context, s *shell, args []string) error {
		if len(args) > 0 {
			return usagef("takes no arguments")
		}
		version := "development"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			version = info.Main.Version
		}
		fmt.Fprintf(s.out, "rookery %s %s\n", version, runtime.Version())
		return nil
	}
	return v
}
