package embedded

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// maxValue is the longest attribute value accepted, in bytes.
const maxValue = 1 << 20

// add is RFC 4511 4.7, for the administrator.
func (c *conn) add(m *message) error {
	if !c.admin {
		return refuse(ldap.LDAPResultInsufficientAccessRights, "only %s adds entries", c.s.opts.AdminDN)
	}
	if len(m.op.Children) != 2 {
		return refuse(ldap.LDAPResultProtocolError, "the add request is malformed")
	}
	e, err := c.s.checkNewName(text(m.op.Children[0]))
	if err != nil {
		return err
	}
	for _, a := range m.op.Children[1].Children {
		name, values, err := readAttribute(a)
		if err != nil {
			return err
		}
		for _, v := range values {
			if err := addValue(e, name, v); err != nil {
				return err
			}
		}
	}
	return c.s.addEntry(e)
}

func (s *Server) checkNewName(name string) (*entry, error) {
	d, err := parseDN(name)
	if err != nil {
		return nil, refuse(ldap.LDAPResultInvalidDNSyntax, "%v", err)
	}
	if d.depth() == 0 || !d.under(s.tree.base) {
		return nil, refuse(ldap.LDAPResultNoSuchObject, "%.200s is not below %s", name, s.opts.Base)
	}
	return newEntry(d), nil
}

// addEntry completes a new entry with its name's values and the operational
// attributes, and puts it below its parent.
func (s *Server) addEntry(e *entry) error {
	return s.tree.change(func(ed *edit) error { return s.putNew(ed, e) })
}

func (s *Server) putNew(ed *edit, e *entry) error {
	if ed.get(e.dn) != nil {
		return refuse(ldap.LDAPResultEntryAlreadyExists, "%.200s exists already", e.dn.text)
	}
	if e.dn.key() != s.tree.base.key() && s.tree.byKey[e.dn.parentKey()] == nil {
		return refuse(ldap.LDAPResultNoSuchObject, "%.200s has no parent entry: add it first", e.dn.text)
	}
	if len(e.get("objectClass")) == 0 {
		return refuse(ldap.LDAPResultObjectClassViolation, "an entry needs an objectClass")
	}
	for _, ava := range e.dn.ava {
		if !e.has(ava[0], ava[1]) {
			e.add(ava[0], ava[1])
		}
	}
	now := generalizedTime(time.Now())
	if e.first("entryUUID") == "" {
		e.set("entryUUID", newUUID())
	}
	e.set("createTimestamp", now)
	e.set("modifyTimestamp", now)
	ed.put(e)
	return nil
}

func readAttribute(p *ber.Packet) (string, []string, error) {
	if len(p.Children) != 2 {
		return "", nil, refuse(ldap.LDAPResultProtocolError, "an attribute is malformed")
	}
	name := text(p.Children[0])
	if !attributeName(name) {
		return "", nil, refuse(ldap.LDAPResultUndefinedAttributeType, "%.60q is not an attribute name", name)
	}
	if operational(strings.ToLower(name)) {
		return "", nil, refuse(ldap.LDAPResultConstraintViolation, "%s is the server's to write", name)
	}
	var values []string
	for _, v := range p.Children[1].Children {
		s := text(v)
		if len(s) > maxValue {
			return "", nil, refuse(ldap.LDAPResultConstraintViolation, "a value of %s is longer than %d bytes", name, maxValue)
		}
		values = append(values, s)
	}
	return name, values, nil
}

// attributeName is an attribute description (RFC 4512 2.5) that LDIF can
// carry.
func attributeName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !('0' <= s[i] && s[i] <= '9' || s[i] == '-' || s[i] == ';' || s[i] == '.')) {
			return false
		}
	}
	return s != "" && len(s) <= 100
}

func addValue(e *entry, name, value string) error {
	if strings.EqualFold(name, "userPassword") && !hashed(value) {
		value = hashPassword(value)
	}
	if e.has(name, value) {
		return refuse(ldap.LDAPResultAttributeOrValueExists, "%s has the value already", name)
	}
	e.add(name, value)
	return nil
}

// modify is RFC 4511 4.6: all changes or none. The administrator may change
// everything, others their own userPassword.
func (c *conn) modify(m *message) error {
	if len(m.op.Children) != 2 {
		return refuse(ldap.LDAPResultProtocolError, "the modify request is malformed")
	}
	d, err := parseDN(text(m.op.Children[0]))
	if err != nil {
		return refuse(ldap.LDAPResultInvalidDNSyntax, "%v", err)
	}
	return c.s.tree.change(func(ed *edit) error {
		old := ed.get(d)
		if c.who == "" || old == nil && !c.admin {
			return refuse(ldap.LDAPResultInsufficientAccessRights, "this change is not yours to make")
		}
		if old == nil {
			return refuse(ldap.LDAPResultNoSuchObject, "there is no %.200s", d.text)
		}
		e := old.clone()
		for _, ch := range m.op.Children[1].Children {
			if err := c.modifyOne(e, ch); err != nil {
				return err
			}
		}
		for _, ava := range e.dn.ava {
			if !e.has(ava[0], ava[1]) {
				return refuse(ldap.LDAPResultNotAllowedOnRDN, "%s=%s is the entry's name", ava[0], ava[1])
			}
		}
		if len(e.get("objectClass")) == 0 {
			return refuse(ldap.LDAPResultObjectClassViolation, "an entry needs an objectClass")
		}
		e.set("modifyTimestamp", generalizedTime(time.Now()))
		ed.put(e)
		return nil
	})
}

func (c *conn) modifyOne(e *entry, change *ber.Packet) error {
	if len(change.Children) != 2 {
		return refuse(ldap.LDAPResultProtocolError, "a change is malformed")
	}
	op, ok := number(change.Children[0])
	name, values, err := readAttribute(change.Children[1])
	if err != nil {
		return err
	}
	own := c.whoKey == e.dn.key() && strings.EqualFold(name, "userPassword")
	if !c.admin && !own {
		return refuse(ldap.LDAPResultInsufficientAccessRights, "you may change your own userPassword only")
	}
	switch {
	case !ok:
		return refuse(ldap.LDAPResultProtocolError, "a change is malformed")
	case op == ldap.AddAttribute && len(values) == 0:
		return refuse(ldap.LDAPResultProtocolError, "nothing to add to %s", name)
	case op == ldap.AddAttribute:
		return addValues(e, name, values)
	case op == ldap.DeleteAttribute:
		return c.removeValues(e, name, values)
	case op == ldap.ReplaceAttribute:
		e.set(name)
		return addValues(e, name, values)
	}
	return refuse(ldap.LDAPResultUnwillingToPerform, "change operation %d is not offered", op)
}

func addValues(e *entry, name string, values []string) error {
	for _, v := range values {
		if err := addValue(e, name, v); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) removeValues(e *entry, name string, values []string) error {
	if len(values) == 0 {
		if e.get(name) == nil {
			return refuse(ldap.LDAPResultNoSuchAttribute, "there is no %s", name)
		}
		e.set(name)
		return nil
	}
	for _, v := range values {
		if strings.EqualFold(name, "userPassword") && !hashed(v) {
			// The old password as proof: drop the hash it fits.
			for _, h := range e.get(name) {
				if c.s.verified.check(h, v) {
					v = h
					break
				}
			}
		}
		if !e.remove(name, v) {
			return refuse(ldap.LDAPResultNoSuchAttribute, "%s does not have that value", name)
		}
	}
	return nil
}

// delete is RFC 4511 4.8, for the administrator; leaves only.
func (c *conn) delete(m *message) error {
	if !c.admin {
		return refuse(ldap.LDAPResultInsufficientAccessRights, "only %s deletes entries", c.s.opts.AdminDN)
	}
	d, err := parseDN(text(m.op))
	if err != nil {
		return refuse(ldap.LDAPResultInvalidDNSyntax, "%v", err)
	}
	return c.s.tree.change(func(ed *edit) error {
		e := ed.get(d)
		if e == nil {
			return refuse(ldap.LDAPResultNoSuchObject, "there is no %.200s", d.text)
		}
		if ed.hasKids(d) {
			return refuse(ldap.LDAPResultNotAllowedOnNonLeaf, "%.200s has entries below it", d.text)
		}
		ed.take(e)
		return nil
	})
}

// compare is RFC 4511 4.10: its "error" is the truth value.
func (c *conn) compare(m *message) error {
	k := m.op.Children
	if len(k) != 2 || len(k[1].Children) != 2 {
		return refuse(ldap.LDAPResultProtocolError, "the compare request is malformed")
	}
	if c.who == "" {
		return refuse(ldap.LDAPResultInsufficientAccessRights, "bind first")
	}
	d, err := parseDN(text(k[0]))
	if err != nil {
		return refuse(ldap.LDAPResultInvalidDNSyntax, "%v", err)
	}
	e, name := c.s.tree.get(d), text(k[1].Children[0])
	switch {
	case e == nil:
		return refuse(ldap.LDAPResultNoSuchObject, "there is no %.200s", d.text)
	case c.hidden(strings.ToLower(name)):
		return refuse(ldap.LDAPResultInsufficientAccessRights, "%s is hidden", name)
	case e.get(name) == nil:
		return refuse(ldap.LDAPResultNoSuchAttribute, "there is no %.60s", name)
	case e.has(name, text(k[1].Children[1])):
		return refuse(ldap.LDAPResultCompareTrue, "")
	}
	return refuse(ldap.LDAPResultCompareFalse, "")
}

// modifyPassword is RFC 3062: by the user with the old password, or by the
// administrator. A missing new password is made up and given back.
func (c *conn) modifyPassword(value []byte) (*ber.Packet, error) {
	var who, old, fresh string
	var hasOld bool
	if len(value) > 0 {
		p, err := ber.DecodePacketErr(value)
		if err != nil {
			return nil, refuse(ldap.LDAPResultProtocolError, "the password request is malformed")
		}
		for _, k := range p.Children {
			switch k.Tag {
			case 0:
				who = text(k)
			case 1:
				old, hasOld = text(k), true
			case 2:
				fresh = text(k)
			}
		}
	}
	if who == "" {
		who = c.who
	}
	d, err := parseDN(strings.TrimPrefix(who, "dn:"))
	if err != nil || d.depth() == 0 {
		return nil, refuse(ldap.LDAPResultNoSuchObject, "whose password: bind first, or name the entry")
	}
	if !c.admin && d.key() != c.whoKey {
		return nil, refuse(ldap.LDAPResultInsufficientAccessRights, "you may change your own password only")
	}
	if (!c.admin || hasOld) && !c.s.authenticate(d, old) {
		return nil, refuse(ldap.LDAPResultInvalidCredentials, "the old password is wrong")
	}
	var made *ber.Packet
	if fresh == "" {
		fresh = newUUID()
		seq := ber.NewSequence("")
		seq.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, fresh, ""))
		made = ber.NewString(ber.ClassContext, ber.TypePrimitive, 11, string(seq.Bytes()), "")
	}
	return made, c.s.setPassword(d, fresh)
}

func (s *Server) setPassword(d dn, password string) error {
	return s.tree.change(func(ed *edit) error {
		old := ed.get(d)
		if old == nil {
			return refuse(ldap.LDAPResultNoSuchObject, "there is no %.200s", d.text)
		}
		e := old.clone()
		e.set("userPassword", hashPassword(password))
		e.set("modifyTimestamp", generalizedTime(time.Now()))
		ed.put(e)
		return nil
	})
}

// sameSecret compares in constant time, whatever the lengths.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
