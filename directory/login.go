package directory

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"rookery"
)

// MaxLogin is the longest login name accepted, in bytes: an address of
// RFC 5321 4.5.3.1 (64 + 1 + 255) with room for a DOMAIN prefix.
const MaxLogin = 400

// MaxPassword is the longest password accepted, in bytes.
const MaxPassword = 1024

// Login is a login name taken apart. Exactly one of the three forms holds:
// DOMAIN\user (Prefix and User), user@domain (Address and User), or a bare
// User.
type Login struct {
	// Text is the whole login, NFC, without surrounding blanks.
	Text string
	// Prefix is the DOMAIN of DOMAIN\user in upper case, else empty.
	Prefix string
	// User is the name without prefix and domain.
	User string
	// Domain is the domain of user@domain as A-labels in lower case, else
	// empty.
	Domain string
}

// ParseLogin reads what a client sent as user name. It is strict on what can
// never be a name (empty, too long, control characters, broken UTF-8), with
// KindCredentials, because no account can have such a name.
func ParseLogin(s string) (Login, error) {
	fail := func(why string) (Login, error) {
		return Login{}, rookery.E("parse login", rookery.KindCredentials, fmt.Errorf("the login name %s", why))
	}
	if len(s) > MaxLogin {
		return fail(fmt.Sprintf("is longer than %d bytes", MaxLogin))
	}
	s = strings.TrimFunc(norm.NFC.String(s), unicode.IsSpace)
	if s == "" {
		return fail("is empty")
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return fail("has a control character or is not UTF-8")
		}
	}
	l := Login{Text: s, User: s}
	if i := strings.IndexByte(s, '\\'); i >= 0 {
		l.Prefix, l.User = strings.ToUpper(s[:i]), s[i+1:]
		if l.Prefix == "" || l.User == "" || strings.ContainsAny(l.User, `\`) {
			return fail(`needs the form DOMAIN\user`)
		}
		return l, nil
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		domain, err := rookery.NormalDomain(s[i+1:])
		if i == 0 || err != nil {
			return fail("needs the form user@domain")
		}
		l.User, l.Domain = s[:i], domain
	}
	return l, nil
}

// Key is the form in which logins compare: case folded, the domain
// normalised. Unlike an address, a login's + is part of the name.
func (l Login) Key() string {
	user := rookery.FoldLocal(l.User)
	switch {
	case l.Prefix != "":
		return l.Prefix + `\` + user
	case l.Domain != "":
		return user + "@" + l.Domain
	}
	return user
}

// Address is the login as a mail address; false when it has none of the
// form.
func (l Login) Address() (rookery.Address, bool) {
	if l.Domain == "" {
		return rookery.Address{}, false
	}
	a, err := rookery.ParseAddress(l.User + "@" + l.Domain)
	return a, err == nil
}

// CheckPassword refuses what must never reach a directory: an empty password
// (RFC 4513 5.1.2: an "unauthenticated bind" succeeds without proving
// anything), one with a NUL, or an oversized one. KindCredentials.
func CheckPassword(password string) error {
	var why string
	switch {
	case password == "":
		why = "the password is empty"
	case len(password) > MaxPassword:
		why = fmt.Sprintf("the password is longer than %d bytes", MaxPassword)
	case strings.IndexByte(password, 0) >= 0:
		why = "the password holds a NUL byte"
	default:
		return nil
	}
	return rookery.E("check password", rookery.KindCredentials, fmt.Errorf("%s", why))
}
