package dsn

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"rookery"
)

// sendable says whether the address can stand in a header as it is.
func sendable(a rookery.Address, international bool) bool {
	s := a.String()
	return a.Local != "" && a.Domain != "" && len(s) <= maxValue && s == printable(s) && !strings.ContainsAny(s, "<>") &&
		(international || isASCII(s))
}

// finalRecipient is the value of Final-Recipient (RFC 3464 2.3.2, RFC 6533 3).
func finalRecipient(a rookery.Address, international bool) string {
	s := cut(printable(a.String()), maxValue)
	if isASCII(s) {
		return "rfc822; " + s
	}
	return "utf-8; " + utf8Address(s, international)
}

// originalRecipient is the value of Original-Recipient for a decoded ORCPT; ""
// where it has no type. RFC 3461 bounds an ORCPT to 500 octets.
func originalRecipient(orcpt string, international bool) string {
	kind, address, ok := strings.Cut(cut(orcpt, 500), ";")
	if kind = strings.ToLower(kind); !ok || !isAtom(kind) || address == "" {
		return ""
	}
	if kind == "utf-8" {
		address = decodeUnicode(address)
	}
	address = printable(strings.TrimSpace(address))
	if kind == "utf-8" || !isASCII(address) {
		return "utf-8; " + cut(utf8Address(address, international), maxValue)
	}
	return kind + "; " + address
}

// OnwardORCPT is the value of ORCPT for a next hop (RFC 3461 4.2, RFC 6533 3):
// the decoded one of the sender, else one made of the recipient's address.
// international says that the session uses SMTPUTF8.
func OnwardORCPT(original string, recipient rookery.Address, international bool) string {
	kind, address, ok := strings.Cut(original, ";")
	if !ok || !isAtom(kind) || address == "" {
		kind, address = "rfc822", recipient.String()
	}
	if strings.EqualFold(kind, "utf-8") {
		address = decodeUnicode(address)
	}
	if strings.EqualFold(kind, "utf-8") || !isASCII(address) {
		return "utf-8;" + utf8Address(printable(address), international)
	}
	return kind + ";" + EncodeXtext(address)
}

// utf8Address writes an address as RFC 6533 3 has it: utf-8-addr-unitext, or
// utf-8-addr-xtext, in which all but US-ASCII is \x{HEX}.
func utf8Address(s string, international bool) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\' || r == '+' || r == '=' || r <= ' ' || r == 0x7f || r > 0x7f && !international:
			fmt.Fprintf(&b, `\x{%02X}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// decodeUnicode reads the \x{HEX} of RFC 6533 3. What is none stays.
func decodeUnicode(s string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		digits, rest, closed := strings.Cut(after, "}")
		n, err := strconv.ParseUint(digits, 16, 32)
		if !closed || len(digits) > 6 || err != nil || !utf8.ValidRune(rune(n)) {
			b.WriteString(`\x{`)
			s = after
			continue
		}
		b.WriteRune(rune(n))
		s = rest
	}
}

// isAtom says whether s can be an address type or the like (RFC 3464 2.1.2).
func isAtom(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\".[]=/?`, c) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
