package ldap

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
)

// Config describes one LDAP directory.
type Config struct {
	// Name is what logs and errors call the directory, such as "corp".
	// Letters, digits, dots and hyphens.
	Name string
	// ID is the first part of every Entry.Key and must never change; empty
	// means Name.
	ID string
	// URLs are the servers, the preferred one first: ldaps://host,
	// ldap://host with StartTLS, or ldap:// on loopback.
	URLs []string
	// Domains are the mail domains this directory judges.
	Domains []string
	// Base is where users are searched, with everything below it.
	Base string
	// BindDN is the service account that searches; empty searches
	// anonymously.
	BindDN string
	// Password is the service account's.
	Password string

	// Profile is "openldap", "ad", "389", or "auto": ask the server.
	Profile string
	// Attributes override the profile, item by item.
	Attributes Attributes
	// Prefixes are the DOMAIN names accepted in DOMAIN\user logins. Active
	// Directory tells its own.
	Prefixes []string

	// StartTLS encrypts ldap:// connections before anything else is sent.
	StartTLS bool
	// CAFile holds the PEM certificates of the authorities to trust; empty
	// trusts the system's.
	CAFile string
	// ServerName is the name the certificate must have, where the URL's is
	// another.
	ServerName string
	// Fingerprints are SHA-256 digests (hex) of server certificates to
	// trust as they are, whatever their names and authorities.
	Fingerprints []string
	// AllowPlaintext permits passwords over unencrypted ldap:// to other
	// machines. Do not.
	AllowPlaintext bool

	// DialTimeout bounds connecting, TLS included; 3 s.
	DialTimeout time.Duration
	// OperationTimeout bounds one search or bind at one server; 4 s.
	OperationTimeout time.Duration
	// Deadline bounds one call with all its retries at other servers; 10 s.
	Deadline time.Duration
	// HealthInterval is how often a server that is up is asked; 10 s.
	HealthInterval time.Duration
	// SearchConns are the connections kept to each server for looking up
	// recipients, shared by all look-ups; 2.
	SearchConns int
	// SignInConns are those for looking up who signs in, so that no load of mail
	// holds up sign-ins; 1.
	SignInConns int
	// BindConns are the most connections to each server for checking
	// passwords; 16.
	BindConns int
	// Copy is how often it is asked what has changed, for the cluster's copy; 30 s.
	// Below 0 is for none: Follow is not called.
	Copy time.Duration
	// PageSize is the entries asked for at once when listing; 500.
	PageSize int

	// Retry reports whether a service password that was refused may be tried
	// again once the account has rested; of several nodes one does, so that the
	// account is not locked. nil: it may.
	Retry func() bool

	// Dial opens the plain connections; nil is TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Default is what a Config begins with.
func Default() Config {
	return Config{
		Name:             "default",
		Profile:          "auto",
		DialTimeout:      3 * time.Second,
		OperationTimeout: 4 * time.Second,
		Deadline:         10 * time.Second,
		HealthInterval:   10 * time.Second,
		SearchConns:      2,
		SignInConns:      1,
		BindConns:        16,
		PageSize:         500,
		Copy:             30 * time.Second,
	}
}

// withDefaults fills what is zero and normalises domains.
func (c Config) withDefaults() Config {
	d := Default()
	if c.Profile == "" {
		c.Profile = d.Profile
	}
	if c.Dial == nil {
		c.Dial = dialTCP
	}
	if c.Retry == nil {
		c.Retry = func() bool { return true }
	}
	for _, f := range []struct{ have, want *time.Duration }{
		{&c.DialTimeout, &d.DialTimeout}, {&c.OperationTimeout, &d.OperationTimeout},
		{&c.Deadline, &d.Deadline}, {&c.HealthInterval, &d.HealthInterval}, {&c.Copy, &d.Copy},
	} {
		if *f.have == 0 {
			*f.have = *f.want
		}
	}
	for _, f := range []struct{ have, want *int }{
		{&c.SearchConns, &d.SearchConns}, {&c.SignInConns, &d.SignInConns}, {&c.BindConns, &d.BindConns}, {&c.PageSize, &d.PageSize},
	} {
		if *f.have == 0 {
			*f.have = *f.want
		}
	}
	c.Domains = slices.Clone(c.Domains)
	for i, s := range c.Domains {
		if n, err := rookery.NormalDomain(s); err == nil {
			c.Domains[i] = n
		}
	}
	return c
}

// Validate names every key that cannot work, and the mend. KindInvalid.
func (c Config) Validate() error {
	var errs []error
	c.Check(func(key, problem string) { errs = append(errs, fmt.Errorf("%s: %s", key, problem)) })
	if len(errs) == 0 {
		return nil
	}
	return rookery.E("check directory settings", rookery.KindInvalid, errors.Join(errs...))
}

// Check tells bad of every key that keeps Open from working, with its value
// and the mend. It reads the files that are named and asks no server. What is
// zero counts as its default.
func (c Config) Check(bad func(key, problem string)) {
	c = c.withDefaults()
	c.check(func(key, format string, a ...any) { bad(key, fmt.Sprintf(format, a...)) })
}

func (c Config) check(bad func(key, format string, a ...any)) {
	if c.Name == "" || strings.Trim(strings.ToLower(c.Name), "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		bad("name", "%q: use letters, digits, dots and hyphens", c.Name)
	}
	if len(c.URLs) == 0 {
		bad("urls", "empty: give at least one, such as ldaps://ldap.example.com")
	}
	for _, u := range c.URLs {
		if err := c.checkURL(u); err != nil {
			bad("urls", "%v", err)
		}
	}
	if len(c.Domains) == 0 {
		bad("domains", "empty: list the mail domains of this directory")
	}
	for _, s := range c.Domains {
		if _, err := rookery.NormalDomain(s); err != nil {
			bad("domains", "%v", err)
		}
	}
	for key, s := range map[string]string{"base": c.Base, "bind_dn": c.BindDN} {
		if _, err := goldap.ParseDN(s); err != nil && !(key == "bind_dn" && strings.ContainsAny(s, `@\`)) {
			bad(key, "%q is not a distinguished name, such as dc=example,dc=com: %v", s, err)
		}
	}
	if c.Base == "" {
		bad("base", "empty: give the entry below which users are, such as ou=people,dc=example,dc=com")
	}
	if c.BindDN != "" && c.Password == "" {
		bad("password", "empty: the service account %s needs a password", c.BindDN)
	}
	c.checkNumbers(bad)
	if _, ok := profiles()[c.Profile]; !ok && c.Profile != "auto" {
		bad("profile", "%q: use openldap, ad, 389 or auto", c.Profile)
	}
	if _, err := authorities(c.CAFile); err != nil {
		bad("ca_file", "%v; put the PEM file there, or name another", err)
	}
	c.Attributes.check(bad)
}

func (c Config) checkNumbers(bad func(key, format string, a ...any)) {
	for key, d := range map[string]time.Duration{"dial_timeout": c.DialTimeout, "operation_timeout": c.OperationTimeout,
		"deadline": c.Deadline, "health_interval": c.HealthInterval} {
		if d <= 0 || d > 5*time.Minute {
			bad(key, "%v: use more than nothing and at most 5m", d)
		}
	}
	for key, n := range map[string]int{"search_conns": c.SearchConns, "sign_in_conns": c.SignInConns, "bind_conns": c.BindConns} {
		if n < 1 || n > 1000 {
			bad(key, "%d: use 1 to 1000", n)
		}
	}
	if c.PageSize < 1 || c.PageSize > 10_000 {
		bad("page_size", "%d: use 1 to 10000; servers seldom give more than 1000", c.PageSize)
	}
	for _, f := range c.Fingerprints {
		if b, err := hex.DecodeString(plainHex(f)); err != nil || len(b) != 32 {
			bad("fingerprints", "%q is not a SHA-256 digest of 64 hexadecimal digits", f)
		}
	}
}

func (c Config) checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return err
	}
	switch {
	case u.Scheme != "ldap" && u.Scheme != "ldaps":
		return fmt.Errorf("%q: use ldaps://host or ldap://host", s)
	case u.Hostname() == "":
		return fmt.Errorf("%q names no host", s)
	case u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "":
		return fmt.Errorf("%q: leave out everything behind the port; base and bind_dn are settings of their own", s)
	case u.Scheme == "ldap" && !c.StartTLS && !c.AllowPlaintext && !loopback(u.Hostname()):
		return fmt.Errorf("%q would send passwords unencrypted: use ldaps:// or set start_tls", s)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func plainHex(s string) string {
	return strings.NewReplacer(":", "", " ", "").Replace(strings.ToLower(strings.TrimPrefix(strings.ToLower(s), "sha256:")))
}
