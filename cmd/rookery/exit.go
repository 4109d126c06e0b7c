package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"rookery/cmd/node/members"

	"github.com/spf13/cobra"

	"rookery"
)

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

// exitMeans is what each code means where a verb does not say it better.
var exitMeans = []string{"done", "failed, or something is wrong", "wrong call or input", "not found",
	"changed underneath, or exists already",
	"unavailable: try again", "damaged data", "this node was removed from the cluster"}

// everyVerb are the codes that each verb may end with.
var everyVerb = []int{0, exitFailed, exitUsage}

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
	if errors.Is(err, members.ErrRemoved) {
		return exitRemoved
	}
	return exitOf[rookery.KindOf(err)]
}

// exitsKey is the annotation of a verb that exits makes.
const exitsKey = "exit codes"

// exits declares the exit codes of a verb beside those of every verb, or what
// one means there, each as "CODE meaning".
func exits(codes ...string) map[string]string {
	return map[string]string{exitsKey: strings.Join(codes, "\n")}
}

// exitText lists a verb's exit codes.
func exitText(c *cobra.Command) string {
	means := map[int]string{}
	for _, code := range everyVerb {
		means[code] = exitMeans[code]
	}
	if c.Flag("socket") != nil {
		means[exitUnavailable] = exitMeans[exitUnavailable]
	}
	for line := range strings.Lines(c.Annotations[exitsKey]) {
		var code int
		if n, _ := fmt.Sscan(line, &code); n == 1 {
			_, means[code], _ = strings.Cut(strings.TrimSpace(line), " ")
		}
	}
	text := "Exit codes:\n"
	for code := range exitMeans {
		if m, ok := means[code]; ok {
			text += fmt.Sprintf("\n    %d  %s", code, m)
		}
	}
	return text
}

// usageError is a wrong call of the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// ranError is of a verb that was called rightly.
type ranError struct{ error }

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
