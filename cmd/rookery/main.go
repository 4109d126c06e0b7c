// Command rookery is the one binary of the mail server cluster: it runs a node
// and holds the operator's verbs, one file a verb. It owns flags, tables and
// exit codes; it never holds a mail rule and never touches a data directory
// except through packages node and datadir.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/backup"
	"rookery/cmd/rookery/cli"
	"rookery/cmd/rookery/config"
	"rookery/cmd/rookery/dev"
	"rookery/cmd/rookery/directory"
	"rookery/cmd/rookery/machine"
	"rookery/cmd/rookery/queue"
	"rookery/cmd/rookery/relay"
	"rookery/cmd/rookery/restore"
	"rookery/cmd/rookery/storage"
	"rookery/cmd/rookery/trace"
)

// ranError is of a verb that was called rightly.
type ranError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, &cli.Shell{Out: os.Stdout, Err: os.Stderr}, os.Args[1:]))
}

// verbs makes the whole tree of commands. Each is declared in a file of its own:
// arguments, flags, an example, and the exit codes that mean something special.
func verbs(s *cli.Shell) *cobra.Command {
	root := &cobra.Command{
		Use: "rookery", Short: "Rookery is a mail server cluster", Long: "Rookery is a mail server cluster.",
		Example: "  rookery dev\n  rookery status -data /var/lib/rookery",
		Version: adminapi.BinaryVersion(), SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpVerb())
	root.AddCommand(dev.Verb(s), machine.Init(s), tokenVerb(s), machine.Join(s), machine.Serve(s), statusVerb(s), config.Verb(s),
		drainVerb(s), undrainVerb(s), removeVerb(s), groupVerb(s), storage.Verb(s), backup.Verb(s), restore.Verb(s), keyVerb(s), caVerb(s),
		accountVerb(s), sessionVerb(s), queue.Verb(s), relay.Verb(s), trace.Verb(s), auditVerb(s), dnsVerb(s), directory.Verb(s),
		machine.Recover(s), upgradeVerb(s), versionVerb(s), completionVerb(s), manVerb(s))
	root.InitDefaultHelpCmd()
	root.InitDefaultVersionFlag()
	finish(root)
	return root
}

// finish writes the exit codes into each verb's text, and marks the errors of
// verbs that ran: all others are of a wrong call.
func finish(c *cobra.Command) {
	c.InitDefaultHelpFlag()
	c.DisableFlagsInUseLine = !c.HasAvailableFlags()
	if fn := c.RunE; fn != nil {
		c.Long += "\n\n" + cli.ExitText(c)
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := fn(c, args); err != nil {
				return ranError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		finish(sub)
	}
}

func run(ctx context.Context, s *cli.Shell, args []string) int {
	root := verbs(s)
	root.SetArgs(doubleDashes(args, flagValues(root)))
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if ran := (ranError{}); errors.As(err, &ran) {
		err = ran.error
	} else {
		err = cli.Usage(err)
	}
	path := strings.TrimPrefix(c.CommandPath(), "rookery ")
	name, _, _ := strings.Cut(path, " ")
	switch {
	case cli.WantsJSON(args):
		cli.WriteJSONError(s.Err, name, err)
	case errors.As(err, new(cli.UsageError)) && c.HasParent():
		fmt.Fprintf(s.Err, "rookery %s: %v\nusage: %s\n", path, err, c.UseLine())
	case c.HasParent():
		fmt.Fprintf(s.Err, "rookery %s: %v\n", name, err)
	default:
		fmt.Fprintf(s.Err, "rookery: %v\nsee: rookery help\n", err)
	}
	return cli.ExitCode(err)
}

// flagError names the flags that look like one that is unknown.
func flagError(c *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	if wrong := (*pflag.InvalidValueError)(nil); errors.As(err, &wrong) {
		return wrongValue(wrong)
	}
	unknown := (*pflag.NotExistError)(nil)
	if !errors.As(err, &unknown) {
		return err
	}
	names := &cobra.Command{SuggestionsMinimumDistance: 2}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	name := unknown.GetSpecifiedName()
	return fmt.Errorf("there is no flag -%s%s", name, cli.Alike(names, name, "-"))
}

// wrongValue says what a flag takes, in the operator's words.
func wrongValue(wrong *pflag.InvalidValueError) error {
	f := wrong.GetFlag()
	what := "it takes a number"
	switch f.Value.Type() {
	case "duration":
		what = "it takes a time like 30s, 10m or 24h"
	case "bool":
		what = "it takes no value, or true or false"
	case "uint", "uint32", "uint64":
		what = "it takes a number of at least 0"
	case "int", "int32", "int64", "float64":
	default: // of our own, in our own words
		if cause := wrong.Unwrap(); cause != nil {
			what = cause.Error()
		}
	}
	return fmt.Errorf("-%s %s: %s", f.Name, wrong.GetValue(), what)
}

// flagValues tells of every flag in the tree whether it takes a value. A name
// means the same everywhere.
func flagValues(c *cobra.Command) map[string]bool {
	takes := map[string]bool{}
	note := func(f *pflag.Flag) { takes[f.Name] = f.NoOptDefVal == "" }
	c.Flags().VisitAll(note)
	c.PersistentFlags().VisitAll(note)
	for _, sub := range c.Commands() {
		for name, does := range flagValues(sub) {
			takes[name] = does
		}
	}
	return takes
}

// doubleDashes lets flags be written with one dash, as in -data DIR, which the
// library would read as letters. Values of flags stay as they are.
func doubleDashes(args []string, takes map[string]bool) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return append(out, args[i:]...)
		}
		name, _, whole := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if a[:min(1, len(a))] == "-" && len(name) > 1 {
			a = "--" + strings.TrimLeft(a, "-")
		}
		out = append(out, a)
		if strings.HasPrefix(a, "--") && !whole && takes[name] && i+1 < len(args) {
			i++
			out = append(out, args[i])
		}
	}
	return out
}

func helpVerb() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]...", Short: "explain a command, with an example",
		Example: "  rookery help storage check", Annotations: cli.Exits(),
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = cli.NoSuchVerb(of, rest)
			}
			if err != nil {
				return cli.Usage(err)
			}
			return of.Help()
		},
	}
}
