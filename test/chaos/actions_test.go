package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// actions counts what operators did, by how it was answered.
type actions struct {
	mu    sync.Mutex
	count map[string]map[string]int
}

func (a *actions) note(what, outcome string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count[what] == nil {
		a.count[what] = map[string]int{}
	}
	a.count[what][outcome]++
}

func (a *actions) report(b *strings.Builder) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.count) == 0 {
		return
	}
	b.WriteString("\noperators' actions (done / refused or later / no answer):")
	for _, k := range slices.Sorted(maps.Keys(a.count)) {
		o := a.count[k]
		fmt.Fprintf(b, "\n  %-18s %4d / %d / %d", k, o["done"], o["later"], o["no answer"])
	}
}

// The answers of an operator's command, as its exit code has them.
const (
	codeDone        = 0
	codeNotFound    = 3
	codeConflict    = 4
	codeUnavailable = 5
	codeNone        = -1 // the node died, or did not answer in time
)

// order gives a command to one member and waits for a time. One that is
// stopped or killed gives no answer.
func (s *site) order(ctx context.Context, k int, within time.Duration, args ...string) (code int, text string) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bin, append(args, "-socket", s.path(space(k)+".sock"))...)
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return codeDone, string(out)
	case ctx.Err() != nil || cmd.ProcessState == nil:
		return codeNone, string(out)
	case cmd.ProcessState.ExitCode() == 1 && broke(string(out)):
		return codeNone, string(out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// broke reports whether the node died while it answered.
func broke(text string) bool {
	for _, s := range []string{"EOF", "connection reset", "broken pipe"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// act gives a command to some member. Whatever is doubtful must be answered as
// temporary, and what another has done meanwhile as a conflict; an operator may
// ask again. also are further codes that are right.
func (s *storm) act(ctx context.Context, rnd *rand.Rand, name string, within time.Duration, args []string, also ...int) (code int) {
	code, text := s.site.order(ctx, s.site.place(rnd.IntN(s.site.size)), within, args...)
	outcome := "later"
	switch {
	case code == codeDone:
		outcome = "done"
	case code == codeNone:
		outcome = "no answer"
	case code == codeConflict || code == codeUnavailable || slices.Contains(also, code):
	default:
		s.fail([]string{fmt.Sprintf("rookery %v: exit code %d: %.3000s", args, code, text)})
	}
	s.actions.note(name, outcome)
	if code != codeDone && code != codeNone {
		text = strings.TrimSpace(text)
		s.logf("%s: exit code %d: %.300s", strings.Join(args, " "), code, text[strings.LastIndexByte(text, '\n')+1:])
	}
	return code
}

func (s *storm) logf(format string, args ...any) {
	s.site.t.Logf("%6.1f s: %s", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}
