package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

func TestEveryKindHasAnExitCode(t *testing.T) {
	for _, k := range rookery.Kinds() {
		if cli.ExitOf[k] == 0 {
			t.Errorf("no exit code for %v", k)
		}
	}
}

// walk calls fn with every verb and those below it.
func walk(c *cobra.Command, fn func(c *cobra.Command)) {
	fn(c)
	for _, sub := range c.Commands() {
		walk(sub, fn)
	}
}

// undocumented says what a verb's declaration lacks.
func undocumented(c *cobra.Command) (lacks []string) {
	if c.Short == "" {
		lacks = append(lacks, "no Short")
	}
	if !strings.Contains(c.Example, c.CommandPath()) {
		lacks = append(lacks, "no Example that calls it")
	}
	codes, declared := c.Annotations[cli.ExitsKey]
	if c.HasParent() && !declared {
		lacks = append(lacks, "no exit codes")
	}
	for line := range strings.Lines(codes) {
		code := 0
		if n, _ := fmt.Sscan(line, &code); n != 1 || code >= len(cli.ExitMeans) || len(strings.Fields(line)) < 2 {
			lacks = append(lacks, "exit code without a meaning: "+line)
		}
	}
	if c.HasParent() && c.RunE == nil {
		lacks = append(lacks, "does nothing")
	}
	return lacks
}

func TestEveryVerbIsDocumented(t *testing.T) {
	walk(verbs(&cli.Shell{Out: io.Discard, Err: io.Discard}), func(c *cobra.Command) {
		for _, l := range undocumented(c) {
			t.Errorf("%s: %s", c.CommandPath(), l)
		}
	})
	for _, bad := range []*cobra.Command{
		{Example: "root x"}, {Short: "s", Annotations: cli.Exits()}, {Short: "s", Annotations: cli.Exits("9 none such")},
		{Short: "s", Annotations: cli.Exits("4")},
	} {
		bad.Use, bad.RunE = "x", func(*cobra.Command, []string) error { return nil }
		(&cobra.Command{Use: "root"}).AddCommand(bad)
		if len(undocumented(bad)) == 0 {
			t.Errorf("%+v counts as documented", bad)
		}
	}
}

// A flag name either takes a value in every verb or in none: one dash is made
// two before it is known which verb is called.
func TestFlagsMeanTheSameInEveryVerb(t *testing.T) {
	takes := map[string]bool{}
	walk(verbs(&cli.Shell{Out: io.Discard, Err: io.Discard}), func(c *cobra.Command) {
		own := &cobra.Command{}
		own.Flags().AddFlagSet(c.Flags())
		own.Flags().AddFlagSet(c.PersistentFlags())
		for name, does := range flagValues(own) {
			if before, known := takes[name]; known && before != does {
				t.Errorf("-%s takes a value in some verbs, not in %s", name, c.CommandPath())
			}
			takes[name] = does
		}
	})
	if !takes["data"] || takes["json"] {
		t.Errorf("flags %v", takes)
	}
}

func TestOneDashIsAsGoodAsTwo(t *testing.T) {
	takes := map[string]bool{"data": true, "reason": true, "json": false, "help": false}
	for in, want := range map[string]string{
		"status -data x -json": "status --data x --json", "-data=x": "--data=x", "--data -x": "--data -x", "-reason -json": "--reason -json",
		"-json -nosuch": "--json --nosuch", "-h": "-h", "apply - -json": "apply - --json", "erase -- -json": "erase -- -json", "-data": "--data",
		"-json=false --data": "--json=false --data", "": "",
	} {
		if got := strings.Join(doubleDashes(strings.Fields(in), takes), " "); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestTyposGetASuggestion(t *testing.T) {
	for call, want := range map[string]string{
		"statsu": "status", "config aply": "apply", "backup hold lst": "list", "status -wacth": "-watch", "dev kil": "kill",
		"help storge": "storage", "help storage chek": "check",
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), &cli.Shell{Out: &out, Err: &errs}, strings.Fields(call)); code != cli.ExitUsage ||
			!strings.Contains(errs.String(), "mean") || !strings.Contains(errs.String(), want) {
			t.Errorf("rookery %s exits with %d: %s", call, code, errs.String())
		}
	}
}

func TestManualAndCompletion(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	if code := run(t.Context(), &cli.Shell{Out: io.Discard, Err: io.Discard}, []string{"man", dir}); code != 0 {
		t.Fatalf("man exits with %d", code)
	}
	walk(verbs(&cli.Shell{Out: io.Discard, Err: io.Discard}), func(c *cobra.Command) {
		if c.Name() == "help" {
			return // it has none: rookery.1 names it
		}
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"))
		if err != nil || c.HasParent() && !bytes.Contains(page, []byte("Exit codes")) {
			t.Errorf("%s: %v, %d bytes", c.CommandPath(), err, len(page))
		}
	})
	for _, sh := range []string{"bash", "zsh"} {
		var out bytes.Buffer
		if code := run(t.Context(), &cli.Shell{Out: &out, Err: io.Discard}, []string{"completion", sh}); code != 0 ||
			!strings.Contains(out.String(), "rookery") {
			t.Errorf("completion %s exits with %d: %d bytes", sh, code, out.Len())
		}
	}
	var out bytes.Buffer
	if run(t.Context(), &cli.Shell{Out: &out, Err: io.Discard},
		[]string{"__complete", "storage", "che"}); !strings.Contains(out.String(), "check\t") {
		t.Errorf("storage che completes to %q", out.String())
	}
}

func TestVersionAsAFlag(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), &cli.Shell{Out: &out, Err: io.Discard}, []string{"--version"}); code != 0 ||
		!strings.Contains(out.String(), adminapi.BinaryVersion()) {
		t.Errorf("exits with %d: %q", code, out.String())
	}
}

func TestDataDirectoryFromTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("ROOKERY_DATA", dir)
	for call, want := range map[string]bool{"status": true, "config get -data /elsewhere": false} {
		var errs bytes.Buffer
		if run(t.Context(), &cli.Shell{Out: io.Discard, Err: &errs}, strings.Fields(call)); strings.Contains(errs.String(), dir) != want {
			t.Errorf("rookery %s: %s", call, errs.String())
		}
	}
}

func TestWrongCallsExitWithTwo(t *testing.T) {
	for _, args := range [][]string{
		{"nosuch"}, {"serve"}, {"config"}, {"config", "nosuch"}, {"dev", "-nodes", "0"}, {"dev", "-port-base", "70000"},
		{"dev", "stray"}, {"init"}, {"join"}, {"token", "stray"}, {"status", "-nosuch"}, {"drain"}, {"version", "stray"},
		{"serve", "-config", "/nosuch", "-log-level", "loud"}, {"config", "-data", "x"}, {"drain", ""}, {"drain", "n", "-timeout", "0s"},
		{"join", "-config", "/nosuch", "mail1.example.com"}, {"recover", "inspect"}, {"storage"}, {"backup", "hold"}, {"help", "nosuch"},
		{"backup"}, {"restore"},
		{"account", "move", "a@example.com"}, {"key", "destroy", "x"}, {"completion", "fish"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), &cli.Shell{Out: &out, Err: &errs}, args); code != cli.ExitUsage || errs.Len() == 0 {
			t.Errorf("rookery %v exits with %d: %s", args, code, errs.String())
		}
	}
}

func TestTimesArePlain(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Hour: "1h", 90 * time.Minute: "1h30m", time.Minute: "1m",
		10 * time.Second: "10s", 100 * time.Minute: "1h40m", 10 * time.Hour: "10h"} {
		if got := plainly(d); got != want {
			t.Errorf("%v reads %s, want %s", d, got, want)
		}
	}
}

func TestHelpIsOneText(t *testing.T) {
	walk(verbs(&cli.Shell{Out: io.Discard, Err: io.Discard}), func(v *cobra.Command) {
		path := strings.Fields(v.CommandPath())[1:]
		var texts []string
		for _, args := range [][]string{append([]string{"help"}, path...), append(slices.Clone(path), "-h"),
			append(slices.Clone(path), "--help")} {
			var out, errs bytes.Buffer
			if code := run(t.Context(), &cli.Shell{Out: &out, Err: &errs}, args); code != 0 || errs.Len() > 0 {
				t.Errorf("rookery %v exits with %d: %s", args, code, errs.String())
			}
			texts = append(texts, out.String())
		}
		if texts[0] != texts[1] || texts[0] != texts[2] || v.HasParent() && !strings.Contains(texts[0], "Exit codes:") {
			t.Errorf("help of %s differs, or names no exit codes:\n%q", v.CommandPath(), texts)
		}
	})
}

func TestErrorsAsJSON(t *testing.T) {
	for _, args := range [][]string{
		{"status", "--json", "-socket", "/nosuch/admin.sock"}, {"drain", "--json"}, {"remove", "n", "-json", "-socket", "/nosuch/admin.sock"},
		{"config", "get", "--json", "-socket", "/nosuch/admin.sock"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), &cli.Shell{Out: &out, Err: &errs}, args)
		var e cli.JSONError
		if err := json.Unmarshal(errs.Bytes(), &e); err != nil || e.Code != code || code == 0 || e.Command != args[0] ||
			e.Error == "" || e.Kind == "" {
			t.Errorf("rookery %v exits with %d: %s (%v)", args, code, errs.String(), err)
		}
	}
}
