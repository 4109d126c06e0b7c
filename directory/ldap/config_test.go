package ldap

import (
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/directory"
)

func TestValidateNamesKeyAndMend(t *testing.T) {
	good := func() Config {
		c := Default()
		c.URLs, c.Domains, c.Base = []string{"ldaps://ldap.example.com"}, []string{"example.com"}, "dc=example,dc=com"
		return c
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"name: ":                   func(c *Config) { c.Name = "a/b" },
		"urls: empty":              func(c *Config) { c.URLs = nil },
		"unencrypted":              func(c *Config) { c.URLs = []string{"ldap://ldap.example.com"} },
		"ldaps://host":             func(c *Config) { c.URLs = []string{"http://x"} },
		"names no host":            func(c *Config) { c.URLs = []string{"ldaps://"} },
		"behind the port":          func(c *Config) { c.URLs = []string{"ldaps://x/dc=y??sub"} },
		"domains: ":                func(c *Config) { c.Domains = nil },
		"base: ":                   func(c *Config) { c.Base = "example.com" },
		"base: empty":              func(c *Config) { c.Base = "" },
		"password: ":               func(c *Config) { c.BindDN = "cn=x" },
		"profile: ":                func(c *Config) { c.Profile = "novell" },
		"fingerprints: ":           func(c *Config) { c.Fingerprints = []string{"abc"} },
		"attributes.user_filter: ": func(c *Config) { c.Attributes.UserFilter = "(((" },
		"attributes.quota: ":       func(c *Config) { c.Attributes.Quota = []string{"mailQuota"} },
		"attributes: ":             func(c *Config) { c.Attributes.Login = []string{"uid)(x=*"} },
		"operation_timeout: ":      func(c *Config) { c.OperationTimeout = -1 },
		"bind_conns: ":             func(c *Config) { c.BindConns = -1 },
		"page_size: ":              func(c *Config) { c.PageSize = 1 << 20 },
	} {
		c := good()
		change(&c)
		if err := c.Validate(); !rookery.Is(err, rookery.KindInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	c := good()
	c.URLs, c.StartTLS = []string{"ldap://ldap.example.com"}, true
	c.BindDN, c.Password = `CORP\svc`, "x"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestQuota(t *testing.T) {
	for s, want := range map[string]int64{
		"1000": 1000 << 10, "1G": 1 << 30, "512M": 512 << 20, "5 MiB": 5 << 20, "2GB": 2 << 30, "10000S,50C": 10000, "50C": 0,
		"": 0, "-1": 0, "0": 0, "lots": 0, "9223372036854775807": 0, "B": 0, "1T": 1 << 40,
	} {
		if got := parseQuota(s, 1<<10); got != want {
			t.Errorf("%q is %d bytes, want %d", s, got, want)
		}
	}
}

func TestAccountStates(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		attr, value      string
		disabled, locked bool
	}{
		{"userAccountControl", "514", true, false},
		{"useraccountcontrol", "514", true, false},
		{"userAccountControl", "512", false, false},
		{"accountExpires", "130000000000000000", true, false},
		{"accountExpires", "0", false, false},
		{"accountExpires", "9223372036854775807", false, false},
		{"accountExpires", "140000000000000000", false, false},
		{"accountStatus", "active", false, false},
		{"accountStatus", "Disabled", true, false},
		{"accountStatus", "noaccess", true, false},
		{"mailEnabled", "FALSE", true, false},
		{"nsAccountLock", "true", true, false},
		{"nsAccountLock", "false", false, false},
		{"pwdAccountLockedTime", "000001010000Z", true, false},
		{"pwdAccountLockedTime", "20260531235900Z", false, false},
		{"shadowExpire", "1", true, false},
		{"shadowExpire", "-1", false, false},
		{"msDS-User-Account-Control-Computed", "16", false, true},
		{"msDS-User-Account-Control-Computed", "8388608", false, true},
	} {
		e := goldap.NewEntry("uid=x", map[string][]string{c.attr: {c.value}})
		if got := disabled(e, now) != ""; got != c.disabled || locked(e) != c.locked {
			t.Errorf("%s=%s: disabled %v, locked %v", c.attr, c.value, got, locked(e))
		}
	}
}

func TestFiltersEscape(t *testing.T) {
	for name := range profiles() {
		p, err := newProfile(name, Default())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := goldap.CompileFilter(p.UserFilter); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFiltersEscape(f *testing.F) {
	for _, s := range []string{"alice", `CORP\alice`, "a@b.test", "*", ")(uid=*", "a\\2a", "ü@bücher.test", `"a b"@c.test`, "\x00"} {
		f.Add(s)
	}
	p, err := newProfile("ad", Config{Prefixes: []string{"CORP"}})
	if err != nil {
		f.Fatal(err)
	}
	p.realms = []string{"corp.test"}
	plain := strings.Count(p.UserFilter, "(")
	f.Fuzz(func(t *testing.T, s string) {
		check := func(filter string) {
			if filter == "" {
				return
			}
			if _, err := goldap.CompileFilter(filter); err != nil {
				t.Fatalf("%q: %v", filter, err)
			}
			// Every opening bracket is ours: none came in with the name.
			ours := strings.Count(filter, "(") - plain - 2
			if items := strings.Count(filter, ")") - plain - 2; items != ours || strings.Contains(filter, "*") {
				t.Fatalf("%q", filter)
			}
		}
		if l, err := directory.ParseLogin(s); err == nil {
			check(p.loginFilter(l))
		}
		if a, err := rookery.ParseAddress(s); err == nil {
			check(p.addressFilter(a))
		}
	})
}
