package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/members"
)

// The exit codes. They are part of the interface: scripts rely on them.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotFound    = 3
	ExitConflict    = 4
	ExitUnavailable = 5
	ExitDamaged     = 6
	ExitRemoved     = 7
)

// ExitMeans is what each code means where a verb does not say it better.
var ExitMeans = []string{"done", "failed, or something is wrong", "wrong call or input", "not found",
	"changed underneath, or exists already",
	"unavailable: try again", "damaged data", "this node was removed from the cluster"}

// everyVerb are the codes that each verb may end with.
var everyVerb = []int{0, ExitFailed, ExitUsage}

// ExitOf is the exit code of each kind of error.
var ExitOf = map[rookery.Kind]int{
	rookery.KindUnknown:     ExitFailed,
	rookery.KindInvalid:     ExitUsage,
	rookery.KindNotFound:    ExitNotFound,
	rookery.KindExists:      ExitConflict,
	rookery.KindDenied:      ExitFailed,
	rookery.KindCredentials: ExitFailed,
	rookery.KindDisabled:    ExitFailed,
	rookery.KindOverQuota:   ExitFailed,
	rookery.KindTooLarge:    ExitUsage,
	rookery.KindLimit:       ExitUnavailable,
	rookery.KindConflict:    ExitConflict,
	rookery.KindUnavailable: ExitUnavailable,
	rookery.KindDamaged:     ExitDamaged,
	rookery.KindMoved:       ExitUnavailable,
}

// ExitCode is what the program ends with for an error.
func ExitCode(err error) int {
	if errors.As(err, new(UsageError)) {
		return ExitUsage
	}
	if errors.Is(err, members.ErrRemoved) {
		return ExitRemoved
	}
	return ExitOf[rookery.KindOf(err)]
}

// ExitsKey is the annotation of a verb that exits makes.
const ExitsKey = "exit codes"

// Exits declares the exit codes of a verb beside those of every verb, or what
// one means there, each as "CODE meaning".
func Exits(codes ...string) map[string]string {
	return map[string]string{ExitsKey: strings.Join(codes, "\n")}
}

// ExitText lists a verb's exit codes.
func ExitText(c *cobra.Command) string {
	means := map[int]string{}
	for _, code := range everyVerb {
		means[code] = ExitMeans[code]
	}
	if c.Flag("socket") != nil {
		means[ExitUnavailable] = ExitMeans[ExitUnavailable]
	}
	for line := range strings.Lines(c.Annotations[ExitsKey]) {
		var code int
		if n, _ := fmt.Sscan(line, &code); n == 1 {
			_, means[code], _ = strings.Cut(strings.TrimSpace(line), " ")
		}
	}
	text := "Exit codes:\n"
	for code := range ExitMeans {
		if m, ok := means[code]; ok {
			text += fmt.Sprintf("\n    %d  %s", code, m)
		}
	}
	return text
}

// UsageError is a wrong call of the command line.
type UsageError struct{ error }

// Usage makes an error that of a wrong call.
func Usage(err error) error { return UsageError{err} }

// Usagef is the error of a wrong call.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// JSONError is how every verb fails when it was called with --json: one line
// on standard error. Code is the exit code.
type JSONError struct {
	Command string `json:"command"`
	Error   string `json:"error"`
	Kind    string `json:"kind"`
	Code    int    `json:"code"`
}

// WantsJSON reports whether a call asks for JSON, before its flags are parsed.
func WantsJSON(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "--json" || a == "-json" || a == "--json=true" || a == "-json=true" })
}

// WriteJSONError writes how a verb failed.
func WriteJSONError(w io.Writer, verb string, err error) {
	kind := rookery.KindOf(err).String()
	if errors.As(err, new(UsageError)) {
		kind = rookery.KindInvalid.String()
	}
	json.NewEncoder(w).Encode(JSONError{verb, err.Error(), kind, ExitCode(err)})
}
