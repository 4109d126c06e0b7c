package tlspolicy

import (
	"strings"
	"testing"
	"time"
)

func TestLists(t *testing.T) {
	p := STS{MX: []string{"mx1.example.org", "*.example.net"}}
	for host, want := range map[string]bool{
		"mx1.example.org": true, "mx2.example.org": false, "a.example.net": true, "example.net": false, "a.b.example.net": false,
		"": false, "net": false,
	} {
		if got := p.Lists(host); got != want {
			t.Errorf("%q is listed: %v", host, got)
		}
	}
}

func TestParse(t *testing.T) {
	now := time.Unix(1e9, 0)
	p, err := parse("version: STSv1\r\nmode: testing\r\nmode: enforce\r\nmx: Mail.Bücher.example.\r\nmx:*.example.net\r\nx\r\n"+
		"max_age: 99999999999999999999\r\n", now)
	if err != nil || p.Mode != Testing || strings.Join(p.MX, " ") != "mail.xn--bcher-kva.example *.example.net" {
		t.Errorf("%+v, %v", p, err)
	}
	if want := now.Add(maxAge * time.Second); !p.Until.Equal(want) {
		t.Errorf("it ends at %v, want %v", p.Until, want)
	}
}

// FuzzParse reads whatever a policy server may serve.
func FuzzParse(f *testing.F) {
	f.Add("version: STSv1\r\nmode: enforce\r\nmx: *.example.org\r\nmax_age: 86400\r\n")
	f.Add("version: STSv1\nmode: none\nmax_age: 0\n")
	f.Add(":::\n\x00")
	now := time.Unix(1e9, 0)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parse(s, now)
		if err != nil {
			return
		}
		if p.Until.Before(now) || p.Until.After(now.Add(maxAge*time.Second)) || len(p.MX) > maxMX || p.Mode != NoMode && len(p.MX) == 0 {
			t.Fatalf("%+v", p)
		}
		for _, m := range p.MX {
			if name := strings.TrimPrefix(m, "*."); strings.Contains(name, "*") || !p.Lists(strings.Replace(m, "*", "a", 1)) {
				t.Fatalf("the mx %q", m)
			}
		}
		parseID([]string{s})
	})
}
