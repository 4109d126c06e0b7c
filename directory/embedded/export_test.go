package embedded

import "github.com/go-ldap/ldap/v3"

// HasUser reports whether a person of that uid is there.
func (s *Server) HasUser(uid string) bool {
	d, err := parseDN(s.UserDN(uid))
	return err == nil && s.tree.get(d) != nil
}

// DeleteUser removes a person. KindNotFound when there is none.
func (s *Server) DeleteUser(uid string) error {
	d, err := parseDN(s.UserDN(uid))
	if err == nil {
		err = s.tree.change(func(ed *edit) error {
			e := ed.get(d)
			if e == nil {
				return refuse(ldap.LDAPResultNoSuchObject, "there is no user %q", uid)
			}
			ed.take(e)
			return nil
		})
	}
	return s.outcome("delete user", err)
}

// Base is the suffix of the tree.
func (s *Server) Base() string { return s.opts.Base }

// AdminDN is the administrator's name.
func (s *Server) AdminDN() string { return s.opts.AdminDN }
