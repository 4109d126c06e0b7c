package embedded

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// query is a search request, RFC 4511 4.5.1.
type query struct {
	base      dn
	scope     int64
	sizeLimit int
	typesOnly bool
	filter    *filter
	attrs     []string
	page      *page
}

// page is the paging control, RFC 2696. The cookie is the position of the
// last entry given, so the server keeps no state between pages.
type page struct {
	size  int
	after uint64
}

func parseQuery(m *message) (*query, error) {
	bad := refuse(ldap.LDAPResultProtocolError, "the search request is malformed")
	k := m.op.Children
	if len(k) != 8 {
		return nil, bad
	}
	q := &query{}
	var err error
	if q.base, err = parseDN(text(k[0])); err != nil {
		return nil, refuse(ldap.LDAPResultInvalidDNSyntax, "%v", err)
	}
	scope, ok1 := number(k[1])
	size, ok2 := number(k[3])
	if !ok1 || !ok2 || scope < 0 || scope > 3 || size < 0 {
		return nil, bad
	}
	q.scope, q.sizeLimit = scope, int(min(size, 1<<30))
	types := k[5].Data.Bytes()
	q.typesOnly = len(types) == 1 && types[0] != 0
	if q.filter, err = parseFilter(k[6]); err != nil {
		return nil, refuse(ldap.LDAPResultProtocolError, "%v", err)
	}
	for _, a := range k[7].Children {
		q.attrs = append(q.attrs, text(a))
	}
	for _, c := range m.controls {
		if c.oid == ldap.ControlTypePaging {
			if q.page, err = parsePage(c.value); err != nil {
				return nil, err
			}
		}
	}
	return q, nil
}

func parsePage(value []byte) (*page, error) {
	bad := refuse(ldap.LDAPResultProtocolError, "the paging control is malformed")
	p, err := ber.DecodePacketErr(value)
	if err != nil || len(p.Children) != 2 {
		return nil, bad
	}
	size, ok := number(p.Children[0])
	cookie := p.Children[1].Data.Bytes()
	if !ok || size < 0 || len(cookie) != 0 && len(cookie) != 8 {
		return nil, bad
	}
	g := &page{size: int(min(size, 1<<30))}
	if len(cookie) == 8 {
		g.after = binary.BigEndian.Uint64(cookie)
	}
	return g, nil
}

// control is the answer's paging control; an empty cookie ends the listing.
func (g *page) control(last uint64) *ber.Packet {
	var cookie []byte
	if last != 0 {
		cookie = binary.BigEndian.AppendUint64(nil, last)
	}
	seq := ber.NewSequence("")
	seq.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, int64(0), ""))
	seq.AppendChild(octetString(string(cookie)))
	c := ber.NewSequence("")
	c.AppendChild(octetString(ldap.ControlTypePaging))
	c.AppendChild(octetString(string(seq.Bytes())))
	return c
}

func (c *conn) search(m *message) bool {
	err := c.refuseControls(m, ldap.ControlTypePaging, ldap.ControlTypeManageDsaIT)
	var q *query
	if err == nil {
		q, err = parseQuery(m)
	}
	var found []*entry
	var cookie uint64
	if err == nil {
		found, cookie, err = c.find(q)
	}
	for _, e := range found {
		if !c.send(m.id, c.entryPacket(e, q)) {
			return false
		}
	}
	done := result(ldap.ApplicationSearchResultDone, err)
	if q != nil && q.page != nil && err == nil {
		return c.send(m.id, done, q.page.control(cookie))
	}
	return c.send(m.id, done)
}

// find gives the entries of one page and the next page's cookie. With
// sizeLimitExceeded it gives the entries up to the limit and the refusal.
func (c *conn) find(q *query) ([]*entry, uint64, error) {
	if q.base.depth() == 0 && q.scope == ldap.ScopeBaseObject {
		root := c.s.rootDSE()
		if q.filter.match(root, c.hidden) == yes {
			return []*entry{root}, 0, nil
		}
		return nil, 0, nil
	}
	if c.who == "" {
		return nil, 0, refuse(ldap.LDAPResultInsufficientAccessRights, "anonymous clients may read the rootDSE only: bind first")
	}
	t := c.s.tree
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.byKey[q.base.key()] == nil && q.base.depth() > 0 {
		return nil, 0, refuse(ldap.LDAPResultNoSuchObject, "there is no %.200s", q.base.text)
	}
	list, ok := t.candidates(q.filter)
	if !ok {
		list = t.order
	}
	if ok && q.page != nil { // pages go by position; an index does not
		list = slices.Clone(list)
		slices.SortFunc(list, func(a, b *entry) int { return cmp.Compare(a.order, b.order) })
	}
	limit, pageSize, after := q.sizeLimit, 0, uint64(0)
	if q.page != nil {
		pageSize, after = q.page.size, q.page.after
	} else if c.s.opts.SizeLimit > 0 && (limit == 0 || limit > c.s.opts.SizeLimit) {
		limit = c.s.opts.SizeLimit
	}
	var found []*entry
	for _, e := range list {
		if e.order <= after || !q.inScope(e) || q.filter.match(e, c.hidden) != yes {
			continue
		}
		if limit > 0 && len(found) >= limit {
			return found, 0, refuse(ldap.LDAPResultSizeLimitExceeded, "more than %d entries", limit)
		}
		if q.page != nil && len(found) >= max(pageSize, 1) {
			return found, found[len(found)-1].order, nil
		}
		found = append(found, e)
	}
	return found, 0, nil
}

func (q *query) inScope(e *entry) bool {
	switch q.scope {
	case ldap.ScopeBaseObject:
		return e.dn.key() == q.base.key()
	case ldap.ScopeSingleLevel:
		return e.dn.parentKey() == q.base.key()
	case ldap.ScopeChildren:
		return e.dn.depth() > q.base.depth() && e.dn.under(q.base)
	}
	return e.dn.under(q.base)
}

// hidden attributes are the administrator's only: not read, not matched.
func (c *conn) hidden(key string) bool {
	name, _, _ := strings.Cut(key, ";")
	return name == "userpassword" && !c.admin
}

// entryPacket is a SearchResultEntry with the attributes asked for
// (RFC 4511 4.5.1.8; "+" by RFC 3673).
func (c *conn) entryPacket(e *entry, q *query) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	p.AppendChild(octetString(e.dn.text))
	list := ber.NewSequence("")
	for _, key := range e.names() {
		if c.hidden(key) || !q.wants(key) {
			continue
		}
		list.AppendChild(attributePacket(e.attrs[key].name, e.attrs[key].values, q.typesOnly))
	}
	if slices.ContainsFunc(q.attrs, func(a string) bool { return a == "+" || strings.EqualFold(a, "entryDN") }) {
		list.AppendChild(attributePacket("entryDN", []string{e.dn.text}, q.typesOnly))
	}
	p.AppendChild(list)
	return p
}

func (q *query) wants(key string) bool {
	if len(q.attrs) == 0 {
		return !operational(key)
	}
	for _, a := range q.attrs {
		switch {
		case a == "*" && !operational(key), a == "+" && operational(key), strings.EqualFold(a, key):
			return true
		}
	}
	return false // "1.1" asks for none (RFC 4511 4.5.1.8)
}

func attributePacket(name string, values []string, typesOnly bool) *ber.Packet {
	a := ber.NewSequence("")
	a.AppendChild(octetString(name))
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	if !typesOnly {
		for _, v := range values {
			set.AppendChild(octetString(v))
		}
	}
	a.AppendChild(set)
	return a
}

// rootDSE is RFC 4512 5.1, readable by everybody.
func (s *Server) rootDSE() *entry {
	e := newEntry(dn{})
	e.set("objectClass", "top")
	e.set("namingContexts", s.opts.Base)
	e.set("supportedLDAPVersion", "3")
	e.set("supportedControl", ldap.ControlTypePaging, ldap.ControlTypeManageDsaIT)
	e.set("supportedFeatures", "1.3.6.1.4.1.4203.1.5.1") // all operational attributes, RFC 3673
	e.set("supportedExtension", oidPasswordModify, oidWhoAmI)
	if s.opts.TLS != nil {
		e.set("supportedExtension", oidPasswordModify, oidWhoAmI, oidStartTLS)
	}
	e.set("vendorName", "Rookery")
	return e
}
