package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rookery/cmd/rookery/cli"
)

// programs matches what only who wrote the program understands.
var programs = regexp.MustCompile(`strconv|parsing "|\bGo\b|invalid argument|unmarshal|time: |\bint(64|32)?\b`)

// TestWrongFlagValuesAreSaidInWords, of every flag of every verb.
func TestWrongFlagValuesAreSaidInWords(t *testing.T) {
	tried := 0
	var visit func(c *cobra.Command, path []string)
	visit = func(c *cobra.Command, path []string) {
		for _, sub := range c.Commands() {
			visit(sub, append(path[:len(path):len(path)], sub.Name()))
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !c.Runnable() || f.Value.Type() == "string" || f.Name == "help" {
				return
			}
			var out bytes.Buffer
			args := append(path[:len(path):len(path)], "-"+f.Name+"=no,thing")
			if f.Value.Type() == "stringSlice" || f.Value.Type() == "stringArray" {
				return
			}
			tried++
			code := run(t.Context(), &cli.Shell{Out: &out, Err: &out}, args)
			if code != cli.ExitUsage || !strings.Contains(out.String(), "-"+f.Name) || programs.MatchString(out.String()) {
				t.Errorf("%q: exit code %d: %s", args, code, out.String())
			}
		})
	}
	var out bytes.Buffer
	visit(verbs(&cli.Shell{Out: &out, Err: &out}), nil)
	if tried < 50 {
		t.Errorf("only %d flags were tried", tried)
	}
}
