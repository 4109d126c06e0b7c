package ldap

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/directory"
)

// Attributes say what means what in a directory. Empty items are the
// profile's. Names are matched without case.
type Attributes struct {
	// UserFilter is what makes an entry a person with mail.
	UserFilter string
	// Key is the attribute that names an entry for ever. Changing it makes
	// every account a new one.
	Key string
	// Login holds the attributes of bare user names.
	Login []string
	// Principal holds the attributes of user@domain logins that are not mail
	// addresses.
	Principal []string
	// Name holds the attributes of the display name, the best one first.
	Name []string
	// Mail holds the address; its first value is the primary one.
	Mail string
	// Aliases hold further addresses, bare or as smtp:address. Each one must
	// be indexed for equality: a look-up asks for all of them, and one that is
	// not makes the server read every entry.
	Aliases []string
	// Proxy holds addresses as smtp:alias and SMTP:primary; others are
	// skipped.
	Proxy string
	// Quota holds "attribute:unit", the best one first; units B, KiB, MiB,
	// GiB.
	Quota []string
	// Forward holds addresses to send mail on to.
	Forward []string
	// Host names the system that has the mailbox.
	Host string
	// AddressLogin is "no" where addresses are not for signing in.
	AddressLogin string
}

// check names what cannot work.
func (a Attributes) check(bad func(key, format string, args ...any)) {
	if a.UserFilter != "" {
		if _, err := goldap.CompileFilter(a.UserFilter); err != nil {
			bad("attributes.user_filter", "%q is not a filter, such as (objectClass=person): %v", a.UserFilter, err)
		}
	}
	if a.AddressLogin != "" && a.AddressLogin != "yes" && a.AddressLogin != "no" {
		bad("attributes.address_login", "%q: use yes or no", a.AddressLogin)
	}
	for _, q := range a.Quota {
		if _, unit, _ := strings.Cut(q, ":"); units()[unit] == 0 {
			bad("attributes.quota", "%q: use attribute:unit with unit B, KiB, MiB or GiB", q)
		}
	}
	for _, s := range slices.Concat([]string{a.Key, a.Mail, a.Proxy, a.Host}, a.Login, a.Principal, a.Name, a.Aliases, a.Forward) {
		if strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-.;") != "" {
			bad("attributes", "%q is not an attribute's name", s)
		}
	}
}

func units() map[string]int64 {
	return map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
}

// profiles are the built-in sets of attributes.
func profiles() map[string]Attributes {
	return map[string]Attributes{
		"openldap": {
			UserFilter: "(|(objectClass=inetOrgPerson)(objectClass=qmailUser)(objectClass=PostfixBookMailAccount)(objectClass=mailRecipient))",
			Key:        "entryUUID",
			Login:      []string{"uid"},
			Name:       []string{"displayName", "cn"},
			Mail:       "mail",
			Aliases:    []string{"mailAlternateAddress", "mailAlias", "gosaMailAlternateAddress"},
			Quota:      []string{"mailQuotaSize:B", "mailQuota:KiB"},
			Forward:    []string{"mailForwardingAddress"},
			Host:       "mailHost",
		},
		"ad": {
			UserFilter: "(&(objectCategory=person)(objectClass=user))",
			Key:        "objectGUID",
			Login:      []string{"sAMAccountName"},
			Principal:  []string{"userPrincipalName"},
			Name:       []string{"displayName", "cn"},
			Mail:       "mail",
			Proxy:      "proxyAddresses",
			Quota:      []string{"mDBOverHardQuotaLimit:KiB"},
		},
		"389": {
			UserFilter: "(|(objectClass=inetOrgPerson)(objectClass=posixAccount)(objectClass=mailRecipient))",
			Key:        "nsUniqueId",
			Login:      []string{"uid"},
			Principal:  []string{"krbPrincipalName"},
			Name:       []string{"displayName", "cn"},
			Mail:       "mail",
			Aliases:    []string{"mailAlternateAddress"},
			Quota:      []string{"mailQuota:B"},
			Forward:    []string{"mailForwardingAddress"},
			Host:       "mailHost",
		},
	}
}

// rootAttributes is what the profile is told by.
var rootAttributes = []string{"supportedCapabilities", "vendorName", "defaultNamingContext", "configurationNamingContext", "namingContexts"}

// profileOf recognises the server by its rootDSE (RFC 4512 5.1). It matters:
// a wrong profile finds nobody, without any error.
func profileOf(root *goldap.Entry) string {
	switch {
	case slices.Contains(root.GetAttributeValues("supportedCapabilities"), "1.2.840.113556.1.4.800"):
		return "ad"
	case strings.HasPrefix(root.GetAttributeValue("vendorName"), "389 Project"):
		return "389"
	}
	return "openldap"
}

// profile is a complete set of attributes with what the server told.
type profile struct {
	name string
	Attributes
	prefixes []string
	realms   []string
	want     []string // attributes to ask for
}

func newProfile(name string, cfg Config) (*profile, error) {
	base, ok := profiles()[name]
	if !ok {
		return nil, fmt.Errorf("profile %q is not known", name)
	}
	o := cfg.Attributes
	p := &profile{name: name, prefixes: slices.Clone(cfg.Prefixes)}
	p.Attributes = Attributes{
		UserFilter: or(o.UserFilter, base.UserFilter), Key: or(o.Key, base.Key), Mail: or(o.Mail, base.Mail),
		Proxy: or(o.Proxy, base.Proxy), Host: or(o.Host, base.Host), AddressLogin: or(o.AddressLogin, "yes"),
		Login: orList(o.Login, base.Login), Principal: orList(o.Principal, base.Principal), Name: orList(o.Name, base.Name),
		Aliases: orList(o.Aliases, base.Aliases), Quota: orList(o.Quota, base.Quota), Forward: orList(o.Forward, base.Forward),
	}
	p.want = slices.Concat([]string{p.Key, p.Mail, p.Proxy, p.Host, "deliveryMode", "mDBUseDefaults"},
		stateAttributes(), p.Login, p.Principal, p.Name, p.Aliases, p.Forward)
	for _, q := range p.Quota {
		attr, _, _ := strings.Cut(q, ":")
		p.want = append(p.want, attr)
	}
	p.want = slices.DeleteFunc(p.want, func(s string) bool { return s == "" })
	return p, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func orList(a, b []string) []string {
	if len(a) > 0 {
		return a
	}
	return b
}

// mostHits is asked for in a look-up: more than one that truly fits is an
// error anyway, but loose matching may bring some that do not.
const mostHits = 20

func (p *profile) request(base, filter string, limit time.Duration) *goldap.SearchRequest {
	return goldap.NewSearchRequest(base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, mostHits,
		int(limit/time.Second)+1, false, filter, p.want, nil)
}

func (p *profile) listRequest(base string) *goldap.SearchRequest {
	return goldap.NewSearchRequest(base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, 0, false, p.UserFilter, p.want, nil)
}

// addressFilter finds the entries that have an address.
func (p *profile) addressFilter(a rookery.Address) string {
	return "(&" + p.UserFilter + "(|" + p.addressItems(a) + "))"
}

func (p *profile) addressItems(a rookery.Address) string {
	forms := []string{a.Local + "@" + a.Domain}
	if s := a.String(); s != forms[0] {
		forms = append(forms, s) // quoted local part
	}
	if u := a.UnicodeDomain(); u != a.Domain {
		forms = append(forms, a.Local+"@"+u)
	}
	var b strings.Builder
	for _, form := range forms {
		for _, attr := range append([]string{p.Mail}, p.Aliases...) {
			item(&b, attr, form)
		}
		item(&b, p.Proxy, "smtp:"+form)
	}
	return b.String()
}

// loginFilter finds the entries a login may name; empty when nobody here can
// have it.
func (p *profile) loginFilter(l directory.Login) string {
	var b strings.Builder
	switch {
	case l.Prefix != "":
		if !slices.ContainsFunc(p.prefixes, func(s string) bool { return strings.EqualFold(s, l.Prefix) }) {
			return ""
		}
		items(&b, p.Login, l.User)
	case l.Domain != "":
		items(&b, p.Principal, l.Text)
		if slices.Contains(p.realms, l.Domain) {
			items(&b, p.Login, l.User) // Active Directory's implicit user principal name
		}
		if a, ok := l.Address(); ok && p.AddressLogin == "yes" {
			b.WriteString(p.addressItems(a))
		}
	default:
		items(&b, p.Login, l.User)
	}
	if b.Len() == 0 {
		return ""
	}
	return "(&" + p.UserFilter + "(|" + b.String() + "))"
}

// keyFilter finds the entry with a key that key made; empty when none has it.
func (p *profile) keyFilter(key string) string {
	items := p.keyItems(key)
	if items == "" {
		return ""
	}
	return "(&" + p.UserFilter + "(|" + items + "))"
}

// keyItems are what any of must hold for an entry to have a key.
func (p *profile) keyItems(key string) string {
	var b strings.Builder
	raw, err := hex.DecodeString(strings.TrimPrefix(key, "x"))
	switch {
	case err != nil || len(raw) == 0:
		return ""
	case key[0] == 'x':
		item(&b, p.Key, string(raw))
	case strings.EqualFold(p.Key, "objectGUID"):
		b.WriteString("(" + p.Key + "=")
		for _, c := range raw {
			fmt.Fprintf(&b, `\%02x`, c)
		}
		b.WriteString(")")
	default:
		item(&b, p.Key, key)
		if len(key) == 32 { // as a UUID is written, and as 389 writes nsUniqueId
			item(&b, p.Key, key[:8]+"-"+key[8:12]+"-"+key[12:16]+"-"+key[16:20]+"-"+key[20:])
			item(&b, p.Key, key[:8]+"-"+key[8:16]+"-"+key[16:24]+"-"+key[24:])
		}
	}
	return b.String()
}

func items(b *strings.Builder, attrs []string, value string) {
	for _, a := range attrs {
		item(b, a, value)
	}
}

func item(b *strings.Builder, attr, value string) {
	if attr != "" {
		b.WriteString("(" + attr + "=" + goldap.EscapeFilter(value) + ")")
	}
}

// realmOf is the DNS name of a domain's DN: DC=corp,DC=test is corp.test.
func realmOf(dn string) string {
	d, err := goldap.ParseDN(dn)
	if err != nil {
		return ""
	}
	var parts []string
	for _, rdn := range d.RDNs {
		for _, a := range rdn.Attributes {
			if strings.EqualFold(a.Type, "dc") {
				parts = append(parts, strings.ToLower(a.Value))
			}
		}
	}
	return strings.Join(parts, ".")
}

// quota reads the first quota attribute that has a usable value, in bytes.
func (p *profile) quota(e *goldap.Entry) int64 {
	if strings.EqualFold(value(e, "mDBUseDefaults"), "TRUE") {
		return 0
	}
	for _, q := range p.Quota {
		attr, unit, _ := strings.Cut(q, ":")
		if n := parseQuota(value(e, attr), units()[unit]); n > 0 {
			return n
		}
	}
	return 0
}

// parseQuota reads "1000", "1G", "512M" or a Maildir quota "10000S,50C". A
// letter beats the unit. 0 when there is no limit to be read.
func parseQuota(s string, unit int64) int64 {
	s, _, _ = strings.Cut(strings.TrimSpace(s), ",")
	if s == "" {
		return 0
	}
	upper := strings.TrimSuffix(strings.ToUpper(s), "IB")
	if len(upper) > 1 && upper == strings.ToUpper(s) {
		upper = strings.TrimSuffix(upper, "B")
	}
	if upper == "" {
		return 0
	}
	switch upper[len(upper)-1] {
	case 'S':
		unit = 1
	case 'K':
		unit = 1 << 10
	case 'M':
		unit = 1 << 20
	case 'G':
		unit = 1 << 30
	case 'T':
		unit = 1 << 40
	case 'C': // a count of messages
		return 0
	default:
		upper += " "
	}
	n, err := strconv.ParseInt(strings.TrimSpace(upper[:len(upper)-1]), 10, 64)
	if err != nil || n <= 0 || unit == 0 || n > (1<<62)/unit {
		return 0
	}
	return n * unit
}
