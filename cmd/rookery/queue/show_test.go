package queue

import (
	"bytes"
	"strings"
	"testing"

	"rookery/cmd/rookery/cli"
)

// Nobody reads a message without saying why: no node is even asked.
func TestContentWantsAReason(t *testing.T) {
	for args, want := range map[string]string{
		"show --content abc":                        "needs -reason",
		"show --content --reason= abc":              "needs -reason",
		"show --reason=x abc":                       "for -content alone",
		"show --json --content --reason=ticket abc": "does not go with --json",
	} {
		var out bytes.Buffer
		v := Verb(&cli.Shell{Out: &out, Err: &out})
		v.SetArgs(strings.Fields(args))
		v.SetOut(&out)
		v.SetErr(&out)
		err := v.ExecuteContext(t.Context())
		if code := cli.ExitCode(err); code != cli.ExitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, code %d", args, err, code)
		}
	}
}
