package dkim

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"rookery"
	"rookery/storage/message"
)

// ErrUnaligned is in the chain where no domain of ours fits a message's From, so
// that a signature would say nothing to DMARC (RFC 9989 4.4).
var ErrUnaligned = errors.New("no domain of ours is aligned with From")

// SigningDomain finds the domain to sign a message for in its header block: the
// one of the address in From, or the nearest parent of it that is ours, which is
// aligned as well (relaxed alignment).
//
// Where From has several addresses they must be of one domain, else Sender, which
// RFC 5322 3.6.2 then asks for, decides, if its domain is one of theirs. A header
// without From, with several of them, or with one that holds no address is
// aligned with nothing. The error is then KindInvalid with ErrUnaligned: the
// message goes unsigned, or not at all, as the caller's policy has it.
func SigningDomain(header []byte, ours func(domain string) bool) (string, error) {
	fail := func(format string, args ...any) (string, error) {
		return "", rookery.E("find the domain to sign for", rookery.KindInvalid, fmt.Errorf("%w: %w", ErrUnaligned, fmt.Errorf(format, args...)))
	}
	fields, err := splitHeader(bytes.TrimSuffix(header, crlf))
	if err != nil {
		return "", rookery.E("find the domain to sign for", rookery.KindInvalid, err)
	}
	from, sender, n := domains(fields)
	switch {
	case n != 1:
		return fail("the message has %d From fields", n)
	case len(from) == 0:
		return fail("From holds no address")
	}
	domain := from[0]
	for _, other := range from {
		if other == domain {
			continue
		}
		if len(sender) != 1 || !contains(from, sender[0]) {
			return fail("From has addresses of several domains, and Sender names none of them")
		}
		domain = sender[0]
		break
	}
	for parent := domain; parent != ""; _, parent, _ = strings.Cut(parent, ".") {
		if ours(parent) {
			return parent, nil
		}
	}
	return fail("%.255s is none of our domains, nor below one", domain)
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// domains are those of the addresses in From and Sender, and the number of From
// fields. An address whose domain is malformed makes its field hold none.
func domains(fields []field) (from, sender []string, fromFields int) {
	var block []byte
	for _, f := range fields {
		if f.name == "from" {
			fromFields++
		} else if f.name != "sender" {
			continue
		}
		block = append(append(block, f.text...), crlf...)
	}
	s := message.NewScanner()
	defer s.Close()
	s.Write(append(block, crlf...)) // never fails
	e := s.Finish()
	return addressDomains(e.Envelope.From), addressDomains(e.Envelope.Sender), fromFields
}

func addressDomains(list []message.Address) (domains []string) {
	for _, a := range list {
		if a.Mark != message.NoMark {
			continue
		}
		domain, err := rookery.NormalDomain(a.Host)
		if err != nil || a.Mailbox == "" || strings.HasPrefix(domain, "[") {
			return nil
		}
		domains = append(domains, domain)
	}
	return domains
}
