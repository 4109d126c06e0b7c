package ldap

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/directory"
)

// groupAttributes are those of groups.
func groupAttributes() []string {
	return []string{
		"member", "uniqueMember", "memberUid", "memberURL", "rfc822MailMember", "mgrpRFC822MailMember",
		"authOrig", "dLMemSubmitPerms", "rfc822sender", "mgrpAllowedBroadcaster", "msExchRequireAuthToSendTo",
		"mgrpModerator", "msExchModeratedByLink", "msExchHideFromAddressLists",
		"pwdLastSet", "pwdChangedTime", "krbLastPwdChange", // of people, and nobody's profile
	}
}

// mostFound bounds the members that a dynamic group's query may find.
const mostFound = 10_000

// list is what a group's entry says of its members, and of who may send to it.
func (f *follower) list(ctx context.Context, s *server, e *goldap.Entry) (*directory.List, error) {
	l := &directory.List{InsideOnly: strings.EqualFold(value(e, "msExchRequireAuthToSendTo"), "TRUE"), Query: value(e, "memberURL")}
	members := slices.Concat(e.GetEqualFoldAttributeValues("member"), e.GetEqualFoldAttributeValues("uniqueMember"))
	rest, err := f.ranges(ctx, s, e)
	if err != nil {
		return nil, err
	}
	found, err := f.query(ctx, s, l.Query)
	if err != nil {
		return nil, fmt.Errorf("the query of group %s: %w", e.DN, err)
	}
	for _, dn := range slices.Concat(members, rest, found) {
		dn, _, _ = strings.Cut(dn, "#") // the unique identifier of uniqueMember (RFC 4517 3.3.21)
		l.Members = append(l.Members, directory.NormalDN(dn))
	}
	for _, uid := range e.GetEqualFoldAttributeValues("memberUid") {
		l.Uids = append(l.Uids, rookery.FoldLocal(uid))
	}
	for _, attr := range []string{"rfc822MailMember", "mgrpRFC822MailMember"} {
		for _, v := range e.GetEqualFoldAttributeValues(attr) {
			if a, err := rookery.ParseAddress(strings.TrimSpace(v)); err == nil {
				l.External = append(l.External, a.String())
			}
		}
	}
	l.Senders = who(e, "authOrig", "dLMemSubmitPerms", "rfc822sender", "mgrpAllowedBroadcaster")
	l.Moderators = who(e, "mgrpModerator", "msExchModeratedByLink")
	for _, all := range []*[]string{&l.Members, &l.Uids, &l.External, &l.Senders, &l.Moderators} {
		slices.Sort(*all)
		*all = slices.Compact(*all)
	}
	return l, nil
}

// who are the DNs and addresses of some attributes, which may be written as URLs.
func who(e *goldap.Entry, attrs ...string) (all []string) {
	for _, attr := range attrs {
		for _, v := range e.GetEqualFoldAttributeValues(attr) {
			v = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(v), "mailto:"), "ldap:///")
			if a, err := rookery.ParseAddress(v); err == nil {
				all = append(all, a.String())
			} else if strings.Contains(v, "=") {
				all = append(all, directory.NormalDN(v))
			}
		}
	}
	return all
}

// ranges are the members of a group that Active Directory gives a part of at a time
// ([MS-ADTS] 3.1.1.3.1.3.3), member;range=0-1499 first.
func (f *follower) ranges(ctx context.Context, s *server, e *goldap.Entry) (all []string, err error) {
	for {
		var part *goldap.EntryAttribute
		for _, a := range e.Attributes {
			if strings.HasPrefix(strings.ToLower(a.Name), "member;range=") {
				part = a
			}
		}
		if part == nil || len(part.Values) == 0 {
			return all, nil
		}
		all = append(all, part.Values...)
		if strings.HasSuffix(part.Name, "-*") {
			return all, nil
		}
		if len(all) > 1_000_000 {
			return nil, fmt.Errorf("group %s has more than a million members", e.DN)
		}
		req := goldap.NewSearchRequest(e.DN, goldap.ScopeBaseObject, goldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)",
			[]string{fmt.Sprintf("member;range=%d-*", len(all))}, nil)
		res, err := s.search(ctx, forRecipients, req)
		if err != nil {
			return nil, err
		}
		if len(res.Entries) != 1 {
			return all, nil
		}
		e = res.Entries[0]
	}
}

// query are the DNs that a dynamic group's URL finds (RFC 4516: ldap:///base??scope?filter).
// What is no such URL finds nobody.
func (f *follower) query(ctx context.Context, s *server, text string) (dns []string, err error) {
	u, err := url.Parse(text)
	if text == "" || err != nil || u.Scheme != "ldap" {
		return nil, nil
	}
	parts := strings.Split(u.RawQuery, "?") // attributes, scope, filter
	for len(parts) < 3 {
		parts = append(parts, "")
	}
	scope := map[string]int{
		"sub": goldap.ScopeWholeSubtree, "one": goldap.ScopeSingleLevel, "": goldap.ScopeBaseObject, "base": goldap.ScopeBaseObject,
	}
	of, known := scope[strings.ToLower(parts[1])]
	filter, err := url.PathUnescape(parts[2])
	if err != nil || !known {
		return nil, nil
	}
	filter = or(filter, "(objectClass=*)")
	if _, err := goldap.CompileFilter(filter); err != nil {
		return nil, nil
	}
	req := goldap.NewSearchRequest(strings.TrimPrefix(u.Path, "/"), of, goldap.NeverDerefAliases, 0, 0, false, filter, []string{"1.1"}, nil)
	err = s.pages(ctx, req, uint32(f.d.cfg.PageSize), func(e *goldap.Entry) error {
		if len(dns) >= mostFound {
			return fmt.Errorf("it finds more than %d entries", mostFound)
		}
		dns = append(dns, e.DN)
		return nil
	})
	if goldap.IsErrorWithCode(err, goldap.LDAPResultNoSuchObject) {
		return nil, nil
	}
	return dns, err
}
