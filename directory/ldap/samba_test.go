package ldap

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rookery"
	"rookery/directory"
)

// TestSamba runs against a real Active Directory of Samba: with
// ROOKERY_TEST_SAMBA=1 it starts one (root, up to a minute), with a directory
// there it takes the one that runs.
func TestSamba(t *testing.T) {
	const ip = "127.0.0.10"
	dir := os.Getenv("ROOKERY_TEST_SAMBA")
	switch {
	case dir == "":
		t.Skip("skipped: set ROOKERY_TEST_SAMBA=1 to start a Samba domain controller")
	case dir == "1":
		var err error
		if dir, err = os.MkdirTemp("", "ad"); err != nil {
			t.Fatal(err)
		}
		script := filepath.Join(serverScripts, "run-samba-ad.sh")
		t.Cleanup(func() {
			exec.Command(script, "stop", dir).Run()
			os.RemoveAll(dir)
		})
		if err := exec.Command(script, "start", dir, ip, "20").Run(); err != nil {
			t.Skipf("skipped: samba does not start: %v", err)
		}
	}
	c := Default()
	c.Name, c.URLs, c.Domains, c.Base = "corp", []string{"ldaps://" + ip}, []string{"example.test"}, "DC=corp,DC=test"
	c.BindDN, c.Password, c.CAFile = "svc-ldap@corp.test", "Passw0rd!x", filepath.Join(dir, "tls", "ca.pem")
	d := openDirectory(t, c)
	if d.Profile() != "ad" {
		t.Fatalf("profile %q, %+v", d.Profile(), d.Health())
	}
	t.Run("logins", func(t *testing.T) { sambaLogins(t, d) })
	t.Run("recipients", func(t *testing.T) { sambaRecipients(t, d) })
	t.Run("StartTLS", func(t *testing.T) {
		c := c
		c.URLs, c.StartTLS = []string{"ldap://" + ip}, true
		if _, err := openDirectory(t, c).Authenticate(t.Context(), "alice", "Passw0rd!x"); err != nil {
			t.Error(err)
		}
	})
	t.Run("plain is refused with the mend", func(t *testing.T) {
		c := impatient(c)
		c.URLs, c.CAFile = []string{"ldap://" + ip}, ""
		_, err := openDirectory(t, c).Authenticate(t.Context(), "alice", "Passw0rd!x")
		if !rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(err.Error(), "ldaps://") {
			t.Error(err)
		}
	})
}

func sambaLogins(t *testing.T, d *Directory) {
	const good = "Passw0rd!x"
	for _, c := range []struct{ login, password, want string }{
		{"alice", good, "ok"},
		{"ALICE", good, "ok"},
		{`CORP\alice`, good, "ok"},
		{`corp\Alice`, good, "ok"},
		{`OTHER\alice`, good, "credentials"},
		{"alice@corp.test", good, "ok"},
		{"alice@example.test", good, "ok"},
		{"a.smith@example.test", good, "ok"},
		{"erin@example.test", good, "ok"},
		{"erin@corp.test", good, "ok"}, // implicit principal name
		{"alice", "wrong!", "credentials"},
		{"nobody", good, "credentials"},
		{"ali*", good, "credentials"},
		{"bob", good, "disabled"},
		{"carol", good, "disabled"},
		{"dave", good, "disabled"},
	} {
		if _, err := d.Authenticate(t.Context(), c.login, c.password); kindOf(err) != c.want {
			t.Errorf("%q: %v, want %s", c.login, err, c.want)
		}
	}
	for range 5 {
		d.Authenticate(t.Context(), "frank", "wrong!")
	}
	if _, err := d.Authenticate(t.Context(), "frank", good); !rookery.Is(err, rookery.KindDisabled) ||
		!strings.Contains(err.Error(), "locked") {
		t.Errorf("locked out: %v", err)
	}
}

func sambaRecipients(t *testing.T, d *Directory) {
	alice, err := d.Recipient(t.Context(), address(t, "Alice+x@example.test"))
	if err != nil {
		t.Fatal(err)
	}
	if len(alice.Key) != len("corp/")+32 || alice.Login != "alice" || len(alice.Addresses) != 3 ||
		alice.Primary.String() != "alice@example.test" {
		t.Errorf("alice is %+v", alice)
	}
	for a, want := range map[string]string{
		"a.smith@example.test": "ok", "PostMaster@example.test": "ok", "alias7@example.test": "ok", "bob@example.test": "ok",
		"dave@example.test": "ok", "nobody@example.test": "not found", "backend@example.test": "not found",
	} {
		e, err := d.Recipient(t.Context(), address(t, a))
		if kindOf(err) != want {
			t.Errorf("%s: %v, want %s", a, err, want)
		}
		if off := strings.HasPrefix(a, "bob") || strings.HasPrefix(a, "dave"); err == nil && e.Disabled != off {
			t.Errorf("%s: disabled is %v", a, e.Disabled)
		}
	}
	n := 0
	if err := d.Walk(t.Context(), func(directory.Entry) error { n++; return nil }); err != nil || n != 28 {
		t.Errorf("listing: %d people, %v", n, err)
	}
}
