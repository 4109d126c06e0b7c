package settings

import (
	"strings"
	"testing"

	"rookery"
)

func TestOverrideIsOfReachAlone(t *testing.T) {
	for _, c := range []struct{ key, value, names string }{
		{"domains", `["other.test"]`, "domains: must be the same on every node"},
		{"limits.quota", "1GB", "limits.quota: must be the same"},
		{"store.bucket", "other", "store.bucket: must be the same"},
		{"store.kind", "s3", "store.kind: must be the same"},
		{"directories.main.base", "dc=other", "directories.main.base: must be the same"},
		{"directories.main.nosuch", "1", "nosuch"},
		{"directories.main.start_tls", "perhaps", "start_tls"},
	} {
		if _, err := SetOverride(nil, c.key, c.value); !rookery.Is(err, rookery.KindInvalid) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v does not name %q", c.key, err, c.names)
		}
	}
	over, err := SetOverride(nil, "directories.main.password", "12345")
	if err == nil {
		over, err = SetOverride(over, "store.endpoint", "https://s3.new.test")
	}
	if err != nil {
		t.Fatal(err)
	}
	s := Default()
	s.Directories["main"] = Directory{Base: "dc=x", Password: "old", Timeout: "5s"}
	s.Domains = []string{"example.test"}
	if err := s.Override(over); err != nil {
		t.Fatal(err)
	}
	if d := s.Directories["main"]; d.Password != "12345" || d.Base != "dc=x" || s.Store.Endpoint != "https://s3.new.test" ||
		s.Store.Kind != "dir" || s.Domains[0] != "example.test" {
		t.Errorf("over the cluster's settings it gives %+v", s)
	}
	if shown, err := HideOverride(over); err != nil || strings.Contains(string(shown), "12345") ||
		!strings.Contains(string(shown), "s3.new.test") {
		t.Errorf("it is shown as %s (%v)", shown, err)
	}
	s.Directories = map[string]Directory{}
	if err := s.Override(over); err == nil || !strings.Contains(err.Error(), "no directory main") {
		t.Errorf("a directory that is not there: %v", err)
	}
}
