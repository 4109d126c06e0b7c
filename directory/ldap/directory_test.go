package ldap

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/directory/embedded"
)

// expectPeople holds for the embedded server and for slapd alike.
func expectPeople(t *testing.T, d *Directory) {
	t.Helper()
	ctx := t.Context()
	alice, err := d.Recipient(ctx, address(t, "Alice+lists@EXAMPLE.test"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(alice.Key, "corp/") || len(alice.Key) != len("corp/")+32 || alice.Login != "alice" ||
		alice.Primary.String() != "alice@example.test" || alice.Quota != 1<<30 || len(alice.Addresses) != 3 || alice.Disabled {
		t.Errorf("alice is %+v", alice)
	}
	for a, want := range map[string]string{
		"a.smith@example.test": "ok", "POSTMASTER@example.test": "ok", "bob@example.test": "ok", "nobody@example.test": "not found",
		"alice@elsewhere.test": "not found", "*@example.test": "not found", "alic?@example.test": "not found",
		`"a)(uid=*"@example.test`: "not found", `"\\2a"@example.test`: "not found",
	} {
		e, err := d.Recipient(ctx, address(t, a))
		if kindOf(err) != want {
			t.Errorf("recipient %s: %v", a, err)
		}
		if want == "ok" && !strings.HasPrefix(a, "bob") && e.Key != alice.Key {
			t.Errorf("%s is %s", a, e.Key)
		}
	}
	for _, c := range []struct{ login, password, want string }{
		{"alice", "secret", "ok"},
		{"ALICE", "secret", "ok"},
		{" alice ", "secret", "ok"},
		{"alice@example.test", "secret", "ok"},
		{"A.Smith@example.test", "secret", "ok"},
		{"alice+x@example.test", "secret", "credentials"},
		{"alice", "wrong", "credentials"},
		{"alice", "", "credentials"},
		{"alice", "secret\x00", "credentials"},
		{"", "secret", "credentials"},
		{"*", "secret", "credentials"},
		{"ali*", "secret", "credentials"},
		{"alice)(uid=*", "secret", "credentials"},
		{`CORP\alice`, "secret", "credentials"},
		{"nobody", "secret", "credentials"},
		{"bob", "secret", "disabled"},
		{"bob", "wrong", "credentials"},
		{"frank", "secret", "ok"},
	} {
		e, err := d.Authenticate(ctx, c.login, c.password)
		if kindOf(err) != c.want {
			t.Errorf("%q with %q: %v, want %s", c.login, c.password, err, c.want)
		}
		if err != nil && e.Key != "" {
			t.Errorf("%q: an entry with an error", c.login)
		}
	}
	if e, err := d.Find(ctx, "a.smith@example.test"); err != nil || e.Key != alice.Key {
		t.Errorf("find: %v", err)
	}
}

func TestEmbeddedPeople(t *testing.T) {
	s := inProcess(t, embedded.Options{})
	d := openDirectory(t, embeddedConfig(s))
	expectPeople(t, d)
	if d.Profile() != "openldap" {
		t.Errorf("profile %q", d.Profile())
	}
}

func TestTwoHitsAreAnAlarm(t *testing.T) {
	s := inProcess(t, embedded.Options{}, embedded.User{UID: "impostor", Password: "secret", Mail: "i@example.test",
		Extra: map[string][]string{"mailAlias": {"Alice@example.test"}}})
	d := openDirectory(t, embeddedConfig(s))
	if _, err := d.Recipient(t.Context(), address(t, "alice@example.test")); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("an address with two owners: %v", err)
	}
	if _, err := d.Authenticate(t.Context(), "alice@example.test", "secret"); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a login with two owners: %v", err)
	}
	if _, err := d.Authenticate(t.Context(), "alice", "secret"); err != nil {
		t.Errorf("her user name is hers alone: %v", err)
	}
}

func TestWalkPages(t *testing.T) {
	var more []embedded.User
	for i := range 120 {
		n := string(rune('a'+i%26)) + strings.Repeat("x", i/26+1)
		more = append(more, embedded.User{UID: n, Mail: n + "@example.test"})
	}
	s := inProcess(t, embedded.Options{SizeLimit: 50}, more...)
	c := embeddedConfig(s)
	c.PageSize = 25
	d := openDirectory(t, c)
	seen := map[string]bool{}
	if err := d.Walk(t.Context(), func(e directory.Entry) error { seen[e.Key] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 123 {
		t.Errorf("walked over %d people, want 123", len(seen))
	}
	stop := errors.New("enough")
	if err := d.Walk(t.Context(), func(directory.Entry) error { return stop }); err != stop {
		t.Errorf("stop: %v", err)
	}
}

func TestWrongBaseIsNotNobody(t *testing.T) {
	s := inProcess(t, embedded.Options{})
	c := impatient(embeddedConfig(s))
	c.Base = "ou=gone,dc=example,dc=test"
	d := openDirectory(t, c)
	if _, err := d.Recipient(t.Context(), address(t, "alice@example.test")); !rookery.Is(err, rookery.KindUnavailable) ||
		!strings.Contains(err.Error(), "base ou=gone") {
		t.Errorf("%v", err)
	}
}

func TestServiceAccountTroubleIsNotTheUsers(t *testing.T) {
	s := inProcess(t, embedded.Options{})
	c := impatient(embeddedConfig(s))
	c.Password = "old"
	d := openDirectory(t, c)
	if _, err := d.Authenticate(t.Context(), "alice", "secret"); !rookery.Is(err, rookery.KindUnavailable) ||
		!strings.Contains(err.Error(), "bind_dn") {
		t.Errorf("%v", err)
	}
}

func TestServerRestart(t *testing.T) {
	path := t.TempDir() + "/d.ldif"
	s := inProcess(t, embedded.Options{Path: path})
	d := openDirectory(t, impatient(embeddedConfig(s)))
	expectPeople(t, d)
	addr := s.Addr().String()
	s.Close()
	if _, err := d.Recipient(t.Context(), address(t, "alice@example.test")); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("server gone: %v", err)
	}
	if _, err := d.Authenticate(t.Context(), "alice", "wrong"); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("server gone: %v", err)
	}
	s, err := embedded.Open(embedded.Options{Path: path, Addr: addr, AdminPassword: "adminpw"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	eventually(t, "the directory comes back", func() bool {
		_, err := d.Recipient(t.Context(), address(t, "alice@example.test"))
		return err == nil
	})
	expectPeople(t, d)
}

// A connection that the server closed while it lay idle costs no failure.
func TestIdleConnectionsClosed(t *testing.T) {
	path := t.TempDir() + "/d.ldif"
	s := inProcess(t, embedded.Options{Path: path})
	c := embeddedConfig(s)
	c.HealthInterval = time.Minute
	d := openDirectory(t, c)
	expectPeople(t, d)
	addr := s.Addr().String()
	s.Close()
	s, err := embedded.Open(embedded.Options{Path: path, Addr: addr, AdminPassword: "adminpw"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	expectPeople(t, d)
}

func TestFailoverIsQuickAfterTheFirst(t *testing.T) {
	s := inProcess(t, embedded.Options{})
	c := impatient(embeddedConfig(s))
	c.URLs = []string{"ldap://127.0.0.1:1", s.URL()}
	d := openDirectory(t, c)
	expectPeople(t, d)
	if h := d.Health(); h[0].Up || !h[1].Up || h[0].Err == nil {
		t.Errorf("health %+v", h)
	}
}

func TestOpenWithoutServerStarts(t *testing.T) {
	c := Default()
	c.Name, c.URLs, c.Domains, c.Base = "corp", []string{"ldap://127.0.0.1:1"}, []string{"example.test"}, "dc=x"
	d := openDirectory(t, impatient(c))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := d.Recipient(ctx, address(t, "alice@example.test")); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("%v", err)
	}
	d.Close()
	if _, err := d.Authenticate(ctx, "alice", "secret"); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("closed: %v", err)
	}
}
