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

// found is an entry with what only this package needs of it.
type found struct {
	entry      directory.Entry
	dn         string
	why        string   // why it is disabled
	logins     []string // folded values of the login attributes
	principals []string // folded user@domain names
	addressOK  bool     // addresses are for signing in
}

// value is the first value of an attribute, whatever the case of its name.
func value(e *goldap.Entry, attr string) string {
	if v := e.GetEqualFoldAttributeValues(attr); len(v) > 0 {
		return v[0]
	}
	return ""
}

// entry maps an LDAP entry. It fails when the entry has no usable key: an
// account could not be told from another. id is the directory's.
func (p *profile) entry(id string, e *goldap.Entry, now time.Time) (found, error) {
	f := found{dn: e.DN, addressOK: p.AddressLogin == "yes"}
	key, err := p.key(e)
	if err != nil {
		return f, err
	}
	f.entry = directory.Entry{
		Key:   id + "/" + key,
		DN:    e.DN,
		Quota: p.quota(e),
		Host:  value(e, p.Host),
		ForwardOnly: slices.ContainsFunc(e.GetEqualFoldAttributeValues("deliveryMode"),
			func(s string) bool { return strings.EqualFold(s, "nolocal") }),
	}
	p.addresses(e, &f.entry)
	for _, attr := range p.Login {
		for _, v := range e.GetEqualFoldAttributeValues(attr) {
			f.logins = append(f.logins, rookery.FoldLocal(v))
			f.entry.Login = or(f.entry.Login, v)
		}
	}
	for _, attr := range p.Principal {
		for _, v := range e.GetEqualFoldAttributeValues(attr) {
			f.principals = append(f.principals, principalKey(v))
		}
	}
	for _, v := range f.logins {
		for _, realm := range p.realms {
			f.principals = append(f.principals, v+"@"+realm)
		}
	}
	f.entry.Login = or(f.entry.Login, f.entry.Primary.String())
	for _, attr := range p.Name {
		f.entry.Name = or(f.entry.Name, value(e, attr))
	}
	for _, attr := range p.Forward {
		for _, v := range e.GetEqualFoldAttributeValues(attr) {
			if a, err := rookery.ParseAddress(strings.TrimSpace(v)); err == nil {
				f.entry.Forward = append(f.entry.Forward, a)
			}
		}
	}
	f.why = disabled(e, now)
	f.entry.Disabled = f.why != ""
	f.entry.Locked = locked(e)
	return f, nil
}

// key is the entry's identity in hex: a binary objectGUID as it is, a textual
// UUID without its hyphens.
func (p *profile) key(e *goldap.Entry) (string, error) {
	raw := e.GetEqualFoldRawAttributeValues(p.Key)
	if len(raw) == 0 || len(raw[0]) == 0 {
		return "", fmt.Errorf("entry %s shows no %s: the service account must be able to read it", e.DN, p.Key)
	}
	v := raw[0]
	if strings.EqualFold(p.Key, "objectGUID") {
		if len(v) != 16 {
			return "", fmt.Errorf("entry %s has an objectGUID of %d bytes instead of 16", e.DN, len(v))
		}
		return hex.EncodeToString(v), nil
	}
	s := strings.ToLower(strings.ReplaceAll(string(v), "-", ""))
	if b, err := hex.DecodeString(s); err != nil || len(b) < 8 || len(b) > 64 {
		// Not a UUID: a site's own number, say. Any value works, if unique.
		s = "x" + hex.EncodeToString(v)
	}
	return s, nil
}

// addresses collects the entry's addresses, the primary one first, each once.
// Values that are no addresses are skipped: directories have them.
func (p *profile) addresses(e *goldap.Entry, to *directory.Entry) {
	seen := map[string]bool{}
	add := func(s string, primary bool) {
		a, err := rookery.ParseAddress(strings.TrimSpace(s))
		if err != nil {
			return
		}
		a = directory.Base(a)
		if primary {
			to.Primary = a
		}
		if !seen[a.Key()] {
			seen[a.Key()] = true
			to.Addresses = append(to.Addresses, a)
		}
	}
	mails := e.GetEqualFoldAttributeValues(p.Mail)
	proxies := e.GetEqualFoldAttributeValues(p.Proxy)
	for _, v := range proxies {
		if s, ok := strings.CutPrefix(v, "SMTP:"); ok && to.Primary == (rookery.Address{}) {
			add(s, true)
		}
	}
	for _, v := range mails {
		add(v, to.Primary == (rookery.Address{}))
	}
	for _, v := range proxies {
		if len(v) > 5 && strings.EqualFold(v[:5], "smtp:") { // X500:, SIP:, EUM: are not for mail
			add(v[5:], false)
		}
	}
	for _, attr := range p.Aliases {
		for _, v := range e.GetEqualFoldAttributeValues(attr) {
			if len(v) > 5 && strings.EqualFold(v[:5], "smtp:") {
				v = v[5:]
			}
			add(v, false)
		}
	}
	if to.Primary == (rookery.Address{}) && len(to.Addresses) > 0 {
		to.Primary = to.Addresses[0]
	}
}

func principalKey(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return rookery.FoldLocal(s[:i]) + "@" + strings.ToLower(s[i+1:])
	}
	return rookery.FoldLocal(s)
}

// answersTo reports whether the login is truly one of the entry's: servers
// match more loosely.
func (f *found) answersTo(l directory.Login) bool {
	user := rookery.FoldLocal(l.User)
	if l.Domain == "" {
		return slices.Contains(f.logins, user)
	}
	if slices.Contains(f.principals, principalKey(l.Text)) || slices.Contains(f.principals, l.Key()) {
		return true
	}
	// As an address, but with its + taken as part of the name.
	return f.addressOK && slices.ContainsFunc(f.entry.Addresses, func(a rookery.Address) bool {
		return rookery.FoldLocal(a.Local) == user && a.Domain == l.Domain
	})
}

// stateAttributes tell whether an account may be used.
func stateAttributes() []string {
	return []string{
		"userAccountControl", "msDS-User-Account-Control-Computed", "accountExpires", // Active Directory
		"accountStatus", "mailEnabled", "shadowExpire", // qmail, Postfix, NIS
		"nsAccountLock",        // 389
		"pwdAccountLockedTime", // password policy overlay
	}
}

// The bits of userAccountControl and its computed twin.
const (
	uacDisabled        = 0x2
	uacLockout         = 0x10
	uacPasswordExpired = 0x800000
)

// disabled says why an account is switched off by its administrator; empty
// when it is not. A lockout after wrong passwords is not meant: see locked.
func disabled(e *goldap.Entry, now time.Time) string {
	number := func(attr string) int64 {
		n, err := strconv.ParseInt(value(e, attr), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	switch {
	case number("userAccountControl")&uacDisabled != 0:
		return "the account is disabled (userAccountControl)"
	case expired(number("accountExpires"), now):
		return "the account has expired (accountExpires)"
	case value(e, "accountStatus") != "" && !strings.EqualFold(value(e, "accountStatus"), "active"):
		return "the account is disabled (accountStatus)"
	case strings.EqualFold(value(e, "mailEnabled"), "FALSE"):
		return "the account is disabled (mailEnabled)"
	case strings.EqualFold(value(e, "nsAccountLock"), "TRUE"):
		return "the account is disabled (nsAccountLock)"
	case strings.HasPrefix(value(e, "pwdAccountLockedTime"), "000001010000"):
		return "the account is locked by its administrator (pwdAccountLockedTime)"
	}
	if days := number("shadowExpire"); days > 0 && now.Unix()/86400 >= days {
		return "the account has expired (shadowExpire)"
	}
	return ""
}

// expired reads Active Directory's accountExpires: 100 ns steps since 1601;
// 0 and the largest number mean never. No other attribute tells of it.
func expired(ticks int64, now time.Time) bool {
	if ticks <= 0 || ticks == 1<<63-1 {
		return false
	}
	const epoch = 11644473600 // seconds from 1601 to 1970
	return now.Unix() >= ticks/10_000_000-epoch
}

// locked reports a state that ends by itself or by the user: locked out, or
// the password expired.
func locked(e *goldap.Entry) bool {
	n, err := strconv.ParseInt(value(e, "msDS-User-Account-Control-Computed"), 10, 64)
	return err == nil && n&(uacLockout|uacPasswordExpired) != 0
}
