package smtp

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"

	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/policy"
)

// trace makes the Return-Path and Received fields (RFC 5321 4.4). The recipient
// is named only where there is just one, so that no copy tells of another. What
// was repaired in the message is said in a comment.
func (s *session) trace(tx *transaction, id string, fixes spool.Fixes) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", tx.from)
	for _, m := range tx.forwards {
		fmt.Fprintf(&b, "Delivered-To: %s\r\n", m)
	}
	for _, id := range tx.lists {
		fmt.Fprintf(&b, "List-Id: <%s>\r\n", id)
	}
	fmt.Fprintf(&b, "Received: from %s (%s)\r\n", clean(s.hello), literal(s.conn.ip))
	fmt.Fprintf(&b, "\tby %s with %s%s id %s", s.server.o.Hostname, s.protocol(tx), inBrackets(s.cipher()), id)
	if note := fixes.String(); note != "" {
		fmt.Fprintf(&b, "\r\n\t(%s)", note)
	}
	if to := tx.addresses(); len(to) == 1 {
		fmt.Fprintf(&b, "\r\n\tfor <%s>", to[0])
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", s.server.o.Clock().Format(policy.DateFormat))
	return []byte(b.String())
}

// source is who gives us the message, for the trace.
func (s *session) source(tx *transaction) delivery.Source {
	x := delivery.Source{Client: s.conn.ip, Hello: clean(s.hello), Protocol: s.protocol(tx), TLS: s.cipher()}
	if s.user != nil {
		x.User = s.user.Login
	}
	return x
}

// protocol is the "with" keyword of RFC 3848 and RFC 6531 4.3.
func (s *session) protocol(tx *transaction) string {
	if !s.extended {
		return "SMTP"
	}
	p := "ESMTP"
	if tx.params.utf8 {
		p = "UTF8SMTP"
	}
	if s.conn.tls != nil {
		p += "S"
	}
	if s.user != nil || s.signed != nil {
		p += "A"
	}
	return p
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// cipher is the TLS version and the cipher; "" without TLS.
func (s *session) cipher() string {
	if s.conn.tls == nil {
		return ""
	}
	return fmt.Sprintf("%s %s", strings.ReplaceAll(tls.VersionName(s.conn.tls.Version), " ", ""),
		tls.CipherSuiteName(s.conn.tls.CipherSuite))
}

// literal is an address literal (RFC 5321 4.1.3).
func literal(ip string) string {
	a, err := netip.ParseAddr(ip)
	switch {
	case err != nil:
		return "unknown"
	case a.Unmap().Is4():
		return "[" + a.Unmap().String() + "]"
	}
	return "[IPv6:" + a.WithZone("").String() + "]"
}

// clean makes a client's words harmless in a trace field and in a log line:
// what is not a letter, digit or one of a few marks becomes a question mark.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(`.-_:[]@\+`, r) {
			return r
		}
		return '?'
	}, s)
	return s[:min(len(s), 255)]
}
