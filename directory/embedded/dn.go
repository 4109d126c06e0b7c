package embedded

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"rookery"
)

// errLongDN names the limit of a distinguished name.
var errLongDN = fmt.Errorf("the distinguished name is longer than %d bytes", maxDN)

// maxDN is the longest distinguished name accepted, in bytes.
const maxDN = 4096

// dn is a parsed distinguished name (RFC 4514): as written, and normalised
// RDN by RDN, the entry's own first.
type dn struct {
	text string
	rdns []string
	ava  [][2]string // the entry's own RDN: attribute and value as written
}

func parseDN(s string) (dn, error) {
	if len(s) > maxDN {
		return dn{}, ldap.NewError(ldap.LDAPResultInvalidDNSyntax, errLongDN)
	}
	p, err := ldap.ParseDN(s)
	if err != nil {
		return dn{}, err
	}
	d := dn{text: s}
	for i, rdn := range p.RDNs {
		var parts []string
		for _, a := range rdn.Attributes {
			parts = append(parts, strings.ToLower(strings.TrimSpace(a.Type))+"="+ldap.EscapeDN(foldSpace(a.Value)))
			if i == 0 {
				d.ava = append(d.ava, [2]string{strings.TrimSpace(a.Type), a.Value})
			}
		}
		slices.Sort(parts)
		d.rdns = append(d.rdns, strings.Join(parts, "+"))
	}
	return d, nil
}

func (d dn) depth() int { return len(d.rdns) }

// key is the form in which names compare.
func (d dn) key() string { return strings.Join(d.rdns, ",") }

func (d dn) parentKey() string {
	if len(d.rdns) == 0 {
		return ""
	}
	return strings.Join(d.rdns[1:], ",")
}

// under reports whether d is base or below it.
func (d dn) under(base dn) bool {
	n := len(d.rdns) - len(base.rdns)
	return n >= 0 && slices.Equal(d.rdns[n:], base.rdns)
}

// foldSpace is the case-ignoring form of a value (RFC 4518): case folded,
// outer blanks dropped, inner runs of blanks made one.
func foldSpace(s string) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 || s[i] == ' ' || s[i] == '\t' || 'A' <= s[i] && s[i] <= 'Z' {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	return rookery.FoldLocal(strings.Join(strings.Fields(s), " "))
}
