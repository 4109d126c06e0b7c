package settings

import (
	"testing"
	"time"
)

func TestSchedulesOfDomains(t *testing.T) {
	for text, want := range map[string]Retries{
		"example.org=30s/10m/48h/1h":    {30 * time.Second, 10 * time.Minute, 48 * time.Hour, time.Hour},
		"Bücher.example=1s/1s/1m/0s":    {time.Second, time.Second, time.Minute, 0},
		"example.org=1m/4h/2160h/2160h": {time.Minute, 4 * time.Hour, 2160 * time.Hour, 2160 * time.Hour},
	} {
		if d, r, ok := ParseRetries(text); !ok || r != want || d != "example.org" && d != "xn--bcher-kva.example" {
			t.Errorf("%s: %q %+v %v", text, d, r, ok)
		}
	}
	for _, text := range []string{"", "example.org", "=1s/1s/1m/0s", "example.org=1s/1s/1m", "example.org=1s/1s/1m/0s/1s",
		"example.org=0s/1s/1m/0s",
		"example.org=1s/0s/1m/0s", "example.org=1s/1s/59s/0s", "example.org=1s/1s/1m/-1s", "example.org=1s/1s/2161h/0s", "example.org=1/1/1/1",
		"[192.0.2.1]=1s/1s/1m/0s", "a..b=1s/1s/1m/0s"} {
		if d, r, ok := ParseRetries(text); ok {
			t.Errorf("%q is %q %+v", text, d, r)
		}
		o, named := DefaultOutbound(), ""
		o.Retries = []string{text}
		if o.validate(func(key, _ string, _ ...any) { named += key }); named != "outbound.retries" {
			t.Errorf("%q is refused by %q", text, named)
		}
	}
}
