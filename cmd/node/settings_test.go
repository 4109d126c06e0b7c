package node

import (
	"strings"
	"testing"
)

func TestSamplesReadBack(t *testing.T) {
	s, err := ParseSettings([]byte(SettingsSample()))
	if err != nil {
		t.Fatalf("the sample of the settings does not read: %v\n%s", err, SettingsSample())
	}
	if len(s.Directories) != 1 || s.Directories["main"].Base == "" {
		t.Errorf("the sample lost its directory: %+v", s.Directories)
	}
	var c Config
	if err := decodeStrict([]byte(ConfigSample()), &c); err != nil {
		t.Fatalf("the sample of the node file does not read: %v\n%s", err, ConfigSample())
	}
	if err := c.Validate(); err != nil {
		t.Errorf("the sample of the node file is not valid: %v", err)
	}
	for _, text := range []string{SettingsSample(), ConfigSample()} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, " = ") && strings.Contains(text, "\n\n"+line) {
				t.Errorf("no comment above %q", line)
			}
		}
	}
}

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
		s, err := ParseSettings([]byte(doc))
		if err != nil {
			t.Errorf("%q: %v", doc, err)
			continue
		}
		if err := s.Validate(machine{t.TempDir()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not name %q", doc, err, want)
		}
	}
	if _, err := ParseSettings([]byte("domain = 1\n[limits]\nnosuch = 2")); err == nil ||
		!strings.Contains(err.Error(), "limits.nosuch") || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("unknown keys are not named: %v", err)
	}
}

func TestSetGetDiff(t *testing.T) {
	s := DefaultSettings()
	doc, err := s.Document()
	if err != nil {
		t.Fatal(err)
	}
	next := doc
	for _, kv := range [][2]string{
		{"domains", `["example.com", "example.org"]`},
		{"limits.quota", "1000000000"},
		{"store.access_key", "12345"},
		{"directories.main.urls", `["ldap://127.0.0.1"]`},
		{"directories.main.base", "dc=example,dc=com"},
	} {
		if next, err = SetKey(next, kv[0], kv[1]); err != nil {
			t.Fatalf("%s: %v", kv[0], err)
		}
	}
	if v, err := GetKey(next, "store.access_key"); err != nil || v != "12345" {
		t.Errorf("access_key = %v, %v: a text of digits must stay a text", v, err)
	}
	changes, err := Diff(doc, next)
	if err != nil || len(changes) < 5 {
		t.Errorf("diff: %v, %v", changes, err)
	}
	if _, err := SetKey(next, "limits.nosuch", "1"); err == nil {
		t.Error("an unknown key was set")
	}
	if _, err := SetKey(next, "limits.quota", "much"); err == nil {
		t.Error("a text was set where a number belongs")
	}
}

func TestSecretsStayWhereHidden(t *testing.T) {
	s := DefaultSettings()
	s.Store.SecretKey = "s3cret"
	s.Directories["main"] = Directory{Password: "pw"}
	shown := s
	shown.Directories = map[string]Directory{"main": s.Directories["main"]}
	shown.hide()
	if shown.Store.SecretKey != Hidden || shown.Directories["main"].Password != Hidden {
		t.Fatalf("not hidden: %+v", shown)
	}
	if err := shown.keepSecrets(&s); err != nil || shown.Store.SecretKey != "s3cret" || shown.Directories["main"].Password != "pw" {
		t.Errorf("not kept: %+v, %v", shown, err)
	}
	empty := DefaultSettings()
	next := DefaultSettings()
	next.Store.SecretKey = Hidden
	if err := next.keepSecrets(&empty); err == nil {
		t.Error("a hidden secret that was never set passed")
	}
}
