package inforce

import (
	"strings"
	"testing"

	"rookery/cmd/node/settings"
)

func TestValidateNamesKeyAndMend(t *testing.T) {
	for doc, want := range map[string]string{
		`domains = ["nodot"]`:                          "domains: ",
		"[limits]\nmessage_size = 1":                   "limits.message_size: ",
		"[store]\nkind = \"ftp\"":                      "store.kind: ",
		"[store]\nkind = \"s3\"":                       "store.endpoint: ",
		"[directories.Bad_Name]\nurls=[\"ldaps://x\"]": "directories.Bad_Name: ",
		"[directories.m]\nbase=\"dc=x\"":               "directories.m.urls: ",
		"[directories.m]\nbind_dn=\"cn=x\"":            "directories.m.password: ",
		"postmaster = \"nobody\"":                      "postmaster: ",
		"[directories.m]\ntimeout = \"99h\"":           "directories.m.timeout: ",
		"[directories.m]\nprofile = \"novell\"":        "directories.m.profile: ",
	} {
		s, err := settings.Parse([]byte(doc))
		if err != nil {
			t.Errorf("%q: %v", doc, err)
			continue
		}
		if err := s.Validate(Machine{t.TempDir()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not name %q", doc, err, want)
		}
	}
	if _, err := settings.Parse([]byte("domain = 1\n[limits]\nnosuch = 2")); err == nil ||
		!strings.Contains(err.Error(), "limits.nosuch") || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("unknown keys are not named: %v", err)
	}
}
