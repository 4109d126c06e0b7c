package settings

import (
	"strings"
	"testing"
)

func TestSamplesReadBack(t *testing.T) {
	s, err := Parse([]byte(Sample()))
	if err != nil {
		t.Fatalf("the sample of the settings does not read: %v\n%s", err, Sample())
	}
	if len(s.Directories) != 1 || s.Directories["main"].Base == "" {
		t.Errorf("the sample lost its directory: %+v", s.Directories)
	}
	var c Node
	if err := decodeStrict([]byte(NodeSample()), &c); err != nil {
		t.Fatalf("the sample of the node file does not read: %v\n%s", err, NodeSample())
	}
	if err := c.Validate(); err != nil {
		t.Errorf("the sample of the node file is not valid: %v", err)
	}
	for _, text := range []string{Sample(), NodeSample()} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, " = ") && strings.Contains(text, "\n\n"+line) {
				t.Errorf("no comment above %q", line)
			}
		}
	}
}

func TestSetGetDiff(t *testing.T) {
	s := Default()
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
	s := Default()
	s.Store.SecretKey = "s3cret"
	s.Directories["main"] = Directory{Password: "pw"}
	shown := s
	shown.Directories = map[string]Directory{"main": s.Directories["main"]}
	shown.Hide()
	if shown.Store.SecretKey != Hidden || shown.Directories["main"].Password != Hidden {
		t.Fatalf("not hidden: %+v", shown)
	}
	if err := shown.KeepSecrets(&s); err != nil || shown.Store.SecretKey != "s3cret" || shown.Directories["main"].Password != "pw" {
		t.Errorf("not kept: %+v, %v", shown, err)
	}
	empty := Default()
	next := Default()
	next.Store.SecretKey = Hidden
	if err := next.KeepSecrets(&empty); err == nil {
		t.Error("a hidden secret that was never set passed")
	}
}

// TestRecipientsAreBounded refuses a limit that no message could use.
func TestRecipientsAreBounded(t *testing.T) {
	s := Default()
	for n, good := range map[int]bool{99: false, 100: true, 1000: true, 1001: false} {
		s.Limits.Recipients = n
		err := s.Validate(nil)
		if said := err != nil && strings.Contains(err.Error(), "limits.recipients: "); said == good {
			t.Errorf("%d recipients: %v", n, err)
		}
		if n > 1000 && !strings.Contains(err.Error(), "1001 is out of range; set it between 100 and 1000") {
			t.Errorf("%v", err)
		}
	}
}
