package embedded

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"rookery"
)

// User is a person to add.
type User struct {
	UID      string // the login name and the entry's name
	Name     string // display name; default UID
	Password string // stored as a hash; empty makes an account that cannot sign in
	Mail     string // primary address; empty for none
	Aliases  []string
	Quota    int64 // bytes; 0 for the site's default
	Disabled bool  // accountStatus: disabled
	// Extra holds further attributes as they are.
	Extra map[string][]string
}

// AddUser adds people below ou=people, and the entries above them where they
// are missing, in one change: all or none. KindExists when a uid or an
// address is taken.
func (s *Server) AddUser(users ...User) error {
	err := s.tree.change(func(ed *edit) error {
		if err := s.putOU(ed, "people"); err != nil {
			return err
		}
		for _, u := range users {
			if err := s.putUser(ed, u); err != nil {
				return err
			}
		}
		return nil
	})
	return s.outcome("add user", err)
}

// AddService adds an account that may search and has no mailbox, below
// ou=services, and gives its DN.
func (s *Server) AddService(name, password string) (string, error) {
	d := "cn=" + ldap.EscapeDN(name) + ",ou=services," + s.opts.Base
	err := s.tree.change(func(ed *edit) error {
		if err := s.putOU(ed, "services"); err != nil {
			return err
		}
		e, err := s.checkNewName(d)
		if err != nil {
			return err
		}
		e.set("objectClass", "device", "simpleSecurityObject")
		e.set("userPassword", hashPassword(password))
		return s.putNew(ed, e)
	})
	return d, s.outcome("add service account", err)
}

// UserDN is where AddUser puts a person.
func (s *Server) UserDN(uid string) string {
	return "uid=" + ldap.EscapeDN(uid) + ",ou=people," + s.opts.Base
}

func (s *Server) putUser(ed *edit, u User) error {
	e, err := s.checkNewName(s.UserDN(u.UID))
	if err != nil {
		return err
	}
	if u.Name == "" {
		u.Name = u.UID
	}
	words := strings.Fields(u.Name)
	if u.UID == "" || len(words) == 0 {
		return refuse(ldap.LDAPResultConstraintViolation, "a user needs a uid")
	}
	e.set("objectClass", "inetOrgPerson", "qmailUser")
	e.set("uid", u.UID)
	e.set("cn", u.Name)
	e.set("sn", words[len(words)-1])
	if u.Password != "" {
		e.set("userPassword", hashPassword(u.Password))
	}
	for i, a := range append([]string{u.Mail}, u.Aliases...) {
		if a == "" {
			continue
		}
		if err := s.putAddress(e, a, i == 0); err != nil {
			return err
		}
	}
	if u.Quota > 0 {
		e.set("mailQuotaSize", strconv.FormatInt(u.Quota, 10))
	}
	if u.Disabled {
		e.set("accountStatus", "disabled")
	}
	for name, values := range u.Extra {
		if !attributeName(name) {
			return refuse(ldap.LDAPResultUndefinedAttributeType, "%.60q is not an attribute name", name)
		}
		if err := addValues(e, name, values); err != nil {
			return err
		}
	}
	return s.putNew(ed, e)
}

func (s *Server) putAddress(e *entry, address string, primary bool) error {
	if _, err := rookery.ParseAddress(address); err != nil {
		return refuse(ldap.LDAPResultConstraintViolation, "%v", err)
	}
	for _, attr := range []string{"mail", "mailalternateaddress"} {
		if taken := s.tree.lookup[attr][foldSpace(address)]; len(taken) > 0 {
			return refuse(ldap.LDAPResultEntryAlreadyExists, "the address %s belongs to %s", address, taken[0].dn.text)
		}
	}
	if primary {
		return addValue(e, "mail", address)
	}
	return addValue(e, "mailAlternateAddress", address)
}

// putOU makes an organizational unit and the base entry where missing.
func (s *Server) putOU(ed *edit, ou string) error {
	if ed.get(s.tree.base) == nil {
		e := newEntry(s.tree.base)
		ava := s.tree.base.ava[0]
		e.set("objectClass", "top")
		if strings.EqualFold(ava[0], "dc") {
			e.set("objectClass", "organization", "dcObject")
			e.set("o", ava[1])
		}
		if err := s.putNew(ed, e); err != nil {
			return err
		}
	}
	e, err := s.checkNewName("ou=" + ou + "," + s.opts.Base)
	if err != nil || ed.get(e.dn) != nil {
		return err
	}
	e.set("objectClass", "organizationalUnit")
	return s.putNew(ed, e)
}

// outcome gives an LDAP refusal its kind.
func (s *Server) outcome(op string, err error) error {
	if err == nil {
		return nil
	}
	code, diag := resultOf(err)
	kind := rookery.KindInvalid
	switch code {
	case ldap.LDAPResultEntryAlreadyExists, ldap.LDAPResultAttributeOrValueExists:
		kind = rookery.KindExists
	case ldap.LDAPResultNoSuchObject:
		kind = rookery.KindNotFound
	case ldap.LDAPResultOther:
		return rookery.E(op, rookery.KindUnknown, err)
	}
	return rookery.E(op, kind, fmt.Errorf("%s", diag))
}
