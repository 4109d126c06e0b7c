package embedded

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// writeTimeout ends a connection whose client does not read, idleTimeout one
// whose client says nothing.
const (
	writeTimeout = 10 * time.Second
	idleTimeout  = 15 * time.Minute
)

// conn is one client's connection. Requests are answered one after the
// other, so a bind never races with a search behind it.
type conn struct {
	s      *Server
	net    net.Conn
	tls    bool
	r      *bufio.Reader
	w      *bufio.Writer
	who    string // DN as bound, empty when anonymous
	whoKey string // normalised
	admin  bool
}

func newConn(s *Server, c net.Conn, implicitTLS bool) *conn {
	if implicitTLS {
		c = tls.Server(c, s.opts.TLS)
	}
	return &conn{s: s, net: c, tls: implicitTLS, r: bufio.NewReader(c), w: bufio.NewWriter(c)}
}

func (c *conn) serve() {
	defer func() {
		if v := recover(); v != nil { // a fault in one request must not end the process
			c.s.logger.Error("embedded directory: a request made the server fail", "panic", v)
		}
	}()
	for {
		limit := maxMessage
		if c.who == "" {
			limit = maxAnonymous
		}
		c.net.SetReadDeadline(time.Now().Add(idleTimeout))
		m, err := readMessage(c.r, limit)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				c.s.logger.Debug("embedded directory: connection ends", "client", c.net.RemoteAddr().String(), "error", err)
			}
			return
		}
		c.net.SetWriteDeadline(time.Now().Add(writeTimeout))
		if !c.handle(m) {
			return
		}
		if c.w.Flush() != nil {
			return
		}
	}
}

// handle answers one message; false ends the connection.
func (c *conn) handle(m *message) bool {
	switch m.op.Tag {
	case ldap.ApplicationUnbindRequest:
		return false
	case ldap.ApplicationAbandonRequest:
		return true // nothing runs beside: there is nothing to abandon (RFC 4511 4.11)
	case ldap.ApplicationSearchRequest:
		return c.search(m)
	case ldap.ApplicationExtendedRequest:
		return c.extended(m)
	}
	type answer struct {
		tag ber.Tag
		run func(*message) error
	}
	answers := map[ber.Tag]answer{
		ldap.ApplicationBindRequest:    {ldap.ApplicationBindResponse, c.bind},
		ldap.ApplicationModifyRequest:  {ldap.ApplicationModifyResponse, c.modify},
		ldap.ApplicationAddRequest:     {ldap.ApplicationAddResponse, c.add},
		ldap.ApplicationDelRequest:     {ldap.ApplicationDelResponse, c.delete},
		ldap.ApplicationCompareRequest: {ldap.ApplicationCompareResponse, c.compare},
		ldap.ApplicationModifyDNRequest: {ldap.ApplicationModifyDNResponse, func(*message) error {
			return refuse(ldap.LDAPResultUnwillingToPerform, "renaming is not offered: delete and add the entry")
		}},
	}
	a, ok := answers[m.op.Tag]
	if !ok {
		return false // protocol error: RFC 4511 4.1.1 lets the server hang up
	}
	err := c.refuseControls(m)
	if err == nil {
		err = a.run(m)
	}
	return c.send(m.id, result(a.tag, err))
}

// refuseControls refuses critical controls (RFC 4511 4.1.11) other than the
// allowed ones.
func (c *conn) refuseControls(m *message, allowed ...string) error {
next:
	for _, ctl := range m.controls {
		if !ctl.critical {
			continue
		}
		for _, oid := range allowed {
			if ctl.oid == oid {
				continue next
			}
		}
		return refuse(ldap.LDAPResultUnavailableCriticalExtension, "control %.80s is not known", ctl.oid)
	}
	return nil
}

func (c *conn) send(id int64, op *ber.Packet, controls ...*ber.Packet) bool {
	_, err := c.w.Write(envelope(id, op, controls...).Bytes())
	return err == nil
}

// bind is RFC 4511 4.2. The connection is anonymous until it succeeds.
func (c *conn) bind(m *message) error {
	c.who, c.whoKey, c.admin = "", "", false
	k := m.op.Children
	if len(k) != 3 {
		return refuse(ldap.LDAPResultProtocolError, "the bind request is malformed")
	}
	if version, ok := number(k[0]); !ok || version != 3 {
		return refuse(ldap.LDAPResultProtocolError, "only LDAP version 3 is spoken")
	}
	if k[2].ClassType != ber.ClassContext || k[2].Tag != 0 {
		return refuse(ldap.LDAPResultAuthMethodNotSupported, "only simple binds are offered")
	}
	name, password := text(k[1]), text(k[2])
	if name == "" && password == "" {
		return nil // anonymous
	}
	if password == "" {
		return refuse(ldap.LDAPResultUnwillingToPerform, "a bind without password proves nothing (RFC 4513 5.1.2)")
	}
	d, err := parseDN(name)
	if err != nil {
		return refuse(ldap.LDAPResultInvalidDNSyntax, "%v", err)
	}
	if !c.s.authenticate(d, password) {
		return refuse(ldap.LDAPResultInvalidCredentials, "")
	}
	c.who, c.whoKey, c.admin = name, d.key(), d.key() == c.s.adminDN
	return nil
}

func (s *Server) authenticate(d dn, password string) bool {
	if d.key() == s.adminDN {
		return sameSecret(password, s.opts.AdminPassword)
	}
	e := s.tree.get(d)
	if e == nil {
		return false
	}
	for _, v := range e.get("userPassword") {
		if s.verified.check(v, password) {
			return true
		}
	}
	return false
}

// The extended operations offered.
const (
	oidStartTLS       = "1.3.6.1.4.1.1466.20037"  // RFC 4511 4.14
	oidPasswordModify = "1.3.6.1.4.1.4203.1.11.1" // RFC 3062
	oidWhoAmI         = "1.3.6.1.4.1.4203.1.11.3" // RFC 4532
)

func (c *conn) extended(m *message) bool {
	var name string
	var value []byte
	for _, k := range m.op.Children {
		switch k.Tag {
		case 0:
			name = text(k)
		case 1:
			value = k.Data.Bytes()
		}
	}
	var err error
	var reply *ber.Packet
	switch err = c.refuseControls(m); {
	case err != nil:
	case name == oidStartTLS:
		return c.startTLS(m)
	case name == oidWhoAmI:
		who := ""
		if c.who != "" {
			who = "dn:" + c.who
		}
		reply = ber.NewString(ber.ClassContext, ber.TypePrimitive, 11, who, "")
	case name == oidPasswordModify:
		reply, err = c.modifyPassword(value)
	default:
		err = refuse(ldap.LDAPResultProtocolError, "extended operation %.80s is not offered", name)
	}
	p := result(ldap.ApplicationExtendedResponse, err)
	if err == nil && reply != nil {
		p.AppendChild(reply)
	}
	return c.send(m.id, p)
}

func (c *conn) startTLS(m *message) bool {
	var err error
	switch {
	case c.tls:
		err = refuse(ldap.LDAPResultOperationsError, "TLS is on already")
	case c.s.opts.TLS == nil:
		err = refuse(ldap.LDAPResultProtocolError, "this directory has no certificate")
	case c.r.Buffered() > 0:
		return false // bytes sent before the handshake would count as protected
	}
	p := result(ldap.ApplicationExtendedResponse, err)
	p.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 10, oidStartTLS, ""))
	if !c.send(m.id, p) || c.w.Flush() != nil {
		return false
	}
	if err != nil {
		return true
	}
	t := tls.Server(c.net, c.s.opts.TLS)
	t.SetDeadline(time.Now().Add(writeTimeout))
	if err := t.Handshake(); err != nil {
		c.s.logger.Debug("embedded directory: TLS handshake failed", "error", err)
		return false
	}
	t.SetDeadline(time.Time{})
	c.net, c.tls = t, true
	c.r, c.w = bufio.NewReader(t), bufio.NewWriter(t)
	return true
}
