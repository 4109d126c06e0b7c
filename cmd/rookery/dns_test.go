package main

import (
	"strings"
	"testing"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

// What is wrong decides the exit code before what nobody can say; what is printed
// is a zone file.
func TestDNSVerdicts(t *testing.T) {
	record := func(verdict string) adminapi.DNSRecord {
		return adminapi.DNSRecord{Verdict: verdict, Zone: []string{"a.example. IN A 192.0.2.1"}, Why: "why", Note: "note",
			Published: []string{"192.0.2.9"}}
	}
	for name, c := range map[string]struct {
		verdicts []string
		problems []string
		code     int
	}{
		"all":              {[]string{"present", "present"}, nil, 0},
		"missing":          {[]string{"present", "missing", "cannot say"}, []string{"p"}, 1},
		"different":        {[]string{"different"}, nil, 1},
		"no answer":        {[]string{"present", "cannot say"}, nil, cli.ExitUnavailable},
		"a node is away":   {[]string{"present"}, []string{"the node is away"}, cli.ExitUnavailable},
		"another verdict":  {[]string{"newer than this program"}, nil, cli.ExitUnavailable},
		"nothing is known": {nil, []string{"p"}, cli.ExitUnavailable},
	} {
		r := adminapi.DNSReport{Problems: c.problems}
		for _, v := range c.verdicts {
			r.Records = append(r.Records, record(v))
		}
		if got := cli.ExitCode(dnsVerdict(r)); got != c.code && (c.code != 0 || dnsVerdict(r) != nil) {
			t.Errorf("%s: %d, want %d", name, got, c.code)
		}
		text := dnsText(r)
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, ";") && !strings.HasPrefix(line, "a.example. IN A ") {
				t.Errorf("%s: %q is no line of a zone file", name, line)
			}
		}
		if hint := strings.Contains(text, "why"); hint != (name != "all" && len(c.verdicts) > 0 && name != "a node is away") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
