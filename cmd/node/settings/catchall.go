package settings

import (
	"slices"
	"strings"

	"rookery"
)

// ParseCatchAll reads one of Cluster.CatchAll: a domain, as A-labels, and the
// address that gets what is for nobody there.
func ParseCatchAll(s string) (domain string, to rookery.Address, ok bool) {
	domain, text, ok := strings.Cut(s, "=")
	if !ok {
		return "", to, false
	}
	domain, err := rookery.NormalDomain(domain)
	if err == nil {
		to, err = rookery.ParseAddress(text)
	}
	return domain, to, err == nil
}

// isLocal reports whether a domain, as A-labels, is one of Domains.
func (s *Cluster) isLocal(domain string) bool {
	return slices.ContainsFunc(s.Domains, func(d string) bool {
		n, err := rookery.NormalDomain(d)
		return err == nil && n == domain
	})
}
