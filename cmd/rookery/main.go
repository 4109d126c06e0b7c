// Command rookery is the one binary of the mail server cluster: it runs a node
// and holds the operator's verbs, one file a verb. It owns flags, tables and
// exit codes; it never holds a mail rule and never touches a data directory
// except through package node.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"rookery"
	"rookery/cmd/node"
)

// verb is one command of the command line.
type verb struct {
	name, args, short, long string
	run                     func(ctx context.Context, s *shell, args []string) error
}

func verbs() []verb {
	first := []verb{devVerb(), initVerb(), tokenVerb(), joinVerb(), serveVerb(), statusVerb(), configVerb()}
	return append(append(first, nodeVerbs()...), groupVerb(), gossipVerb(), storageVerb(), keyVerb(), accountVerb(), recoverVerb(), upgradeVerb(), versionVerb())
}

// shell is what a verb may touch of the outside.
type shell struct {
	out, err io.Writer
}

// usageError is a wrong call of the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, &shell{os.Stdout, os.Stderr}, os.Args[1:]))
}

func run(ctx context.Context, s *shell, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		return help(s, args)
	}
	i := slices.IndexFunc(verbs(), func(v verb) bool { return v.name == args[0] })
	if i < 0 {
		fmt.Fprintf(s.err, "rookery: %q is not a command; see: rookery help\n", args[0])
		return exitUsage
	}
	v := verbs()[i]
	err := v.run(ctx, s, args[1:])
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case wantsJSON(args[1:]):
		writeJSONError(s.err, v.name, err)
	case errors.As(err, new(usageError)):
		fmt.Fprintf(s.err, "rookery %s: %v\nusage: rookery %s %s\n", v.name, err, v.name, v.args)
	default:
		fmt.Fprintf(s.err, "rookery %s: %v\n", v.name, err)
	}
	return exitCode(err)
}

// jsonError is how every verb fails when it was called with --json: one line
// on standard error. Code is the exit code.
type jsonError struct {
	Command string `json:"command"`
	Error   string `json:"error"`
	Kind    string `json:"kind"`
	Code    int    `json:"code"`
}

func wantsJSON(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "--json" || a == "-json" || a == "--json=true" || a == "-json=true" })
}

func writeJSONError(w io.Writer, verb string, err error) {
	kind := rookery.KindOf(err).String()
	if errors.As(err, new(usageError)) {
		kind = rookery.KindInvalid.String()
	}
	json.NewEncoder(w).Encode(jsonError{verb, err.Error(), kind, exitCode(err)})
}

func help(s *shell, args []string) int {
	if len(args) > 1 {
		for _, v := range verbs() {
			if v.name == args[1] {
				if err := v.run(context.Background(), s, []string{"-h"}); !errors.Is(err, flag.ErrHelp) {
					printUsage(s, v, nil) // it takes no flags
				}
				return 0
			}
		}
		fmt.Fprintf(s.err, "rookery: %q is not a command\n", args[1])
		return exitUsage
	}
	fmt.Fprint(s.out, "Rookery is a mail server cluster.\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(s.out, "  rookery %-8s  %s\n", v.name, v.short)
	}
	fmt.Fprint(s.out, "\nrookery help COMMAND explains one, with an example.\n\nExit codes: "+exitCodes()+"\n")
	return 0
}

// flags makes a verb's flag set, with its usage from the verb.
func (s *shell) flags(v verb) *flag.FlagSet {
	f := flag.NewFlagSet(v.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() { printUsage(s, v, f) }
	return f
}

// printUsage is what help VERB, VERB -h and VERB --help print.
func printUsage(s *shell, v verb, f *flag.FlagSet) {
	fmt.Fprintf(s.out, "usage: rookery %s %s\n\n%s\n", v.name, v.args, strings.TrimSpace(v.long))
	if f != nil {
		fmt.Fprint(s.out, "\nFlags:\n")
		f.SetOutput(s.out)
		f.PrintDefaults()
	}
	fmt.Fprint(s.out, "\nExit codes: "+exitCodes()+"\n")
}

// parse prints the usage where it was asked for; a wrong flag is only named.
func parse(f *flag.FlagSet, args []string) error {
	usage := f.Usage
	f.Usage = func() {}
	err := f.Parse(args)
	f.Usage = usage
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage()
		return err
	case err != nil:
		return usageError{err}
	}
	return nil
}

// The exit codes. They are part of the interface: scripts rely on them.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitUnavailable = 5
	exitDamaged     = 6
	exitRemoved     = 7
)

func exitCodes() string {
	return "0 done, 1 failed, 2 wrong call or input, 3 not found, 4 changed underneath or exists, 5 unavailable: try again, 6 damaged data, 7 this node was removed from the cluster"
}

var exitOf = map[rookery.Kind]int{
	rookery.KindUnknown:     exitFailed,
	rookery.KindInvalid:     exitUsage,
	rookery.KindNotFound:    exitNotFound,
	rookery.KindExists:      exitConflict,
	rookery.KindDenied:      exitFailed,
	rookery.KindCredentials: exitFailed,
	rookery.KindDisabled:    exitFailed,
	rookery.KindOverQuota:   exitFailed,
	rookery.KindTooLarge:    exitUsage,
	rookery.KindLimit:       exitUnavailable,
	rookery.KindConflict:    exitConflict,
	rookery.KindUnavailable: exitUnavailable,
	rookery.KindDamaged:     exitDamaged,
	rookery.KindMoved:       exitUnavailable,
}

func exitCode(err error) int {
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	if errors.Is(err, node.ErrRemoved) {
		return exitRemoved
	}
	return exitOf[rookery.KindOf(err)]
}
