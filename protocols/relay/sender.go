package relay

import (
	"encoding/hex"
	"errors"
	"strings"

	"rookery"
)

// Sender is what a client may name as sender: one address, all addresses of a
// domain, or the null sender.
type Sender struct {
	key    string // of an address
	domain string // as rookery.Address has it
	null   bool
}

// ParseSender reads "printer@example.com", "@example.com" or "<>".
func ParseSender(s string) (Sender, error) {
	if s == "<>" {
		return Sender{null: true}, nil
	}
	if domain, ok := strings.CutPrefix(s, "@"); ok {
		d, err := rookery.NormalDomain(domain)
		if err != nil || d[0] == '[' {
			return Sender{}, errors.New("it is no domain; write it like @example.com")
		}
		return Sender{domain: d}, nil
	}
	a, err := rookery.ParseAddress(s)
	if err != nil {
		return Sender{}, errors.New("it is no sender; write it like printer@example.com, @example.com or <>")
	}
	return Sender{key: a.Key()}, nil
}

func (s Sender) matches(a rookery.Address) bool {
	switch {
	case a == (rookery.Address{}):
		return s.null
	case s.domain != "":
		return s.domain == a.Domain
	}
	return s.key != "" && s.key == a.Key()
}

// ParseFingerprint reads the SHA-256 of a certificate in hexadecimal, with or
// without colons, in any case.
func ParseFingerprint(s string) (f Fingerprint, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) != len(f) {
		return f, errors.New("it is no SHA-256 of a certificate; write it as 64 hexadecimal digits")
	}
	return Fingerprint(b), nil
}
