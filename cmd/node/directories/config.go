package directories

import (
	"slices"
	"strings"
	"time"

	"rookery/cmd/node/settings"
	"rookery/directory/ldap"
)

// Config is what the settings say of the directory with a name.
func Config(name string, s *settings.Cluster) ldap.Config {
	d := s.Directories[name]
	c := ldap.Default()
	c.Name, c.ID, c.URLs, c.Base, c.BindDN, c.Password = name, d.ID, d.URLs, d.Base, d.BindDN, d.Password
	c.Profile, c.StartTLS, c.CAFile, c.Prefixes = d.Profile, d.StartTLS, d.CAFile, d.Prefixes
	a := d.Attributes
	c.Attributes = ldap.Attributes{
		UserFilter: d.UserFilter, Key: a.Key, Login: a.Login, Principal: a.Principal, Name: a.Name, Mail: a.Mail, Aliases: a.Aliases,
		Proxy: a.Proxy, Quota: a.Quota, Forward: a.Forward, Host: a.Host, AddressLogin: a.AddressLogin,
	}
	c.Domains = d.Domains
	if len(c.Domains) == 0 {
		c.Domains = s.Domains
	}
	c.Domains = slices.DeleteFunc(slices.Clone(c.Domains), func(x string) bool {
		return !slices.ContainsFunc(s.Domains, func(y string) bool { return strings.EqualFold(x, y) })
	})
	if d.Fingerprint != "" {
		c.Fingerprints = []string{d.Fingerprint}
	}
	if t, err := time.ParseDuration(d.Timeout); err == nil {
		c.OperationTimeout, c.DialTimeout = t, min(t, c.DialTimeout)
	}
	if t, err := time.ParseDuration(d.Copy); err == nil && t > 0 {
		c.Copy = t
	} else {
		c.Copy = -1 // no copy
	}
	return c
}
