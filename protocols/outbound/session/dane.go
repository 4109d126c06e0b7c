package session

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"

	"rookery/protocols/dns"
)

// The certificate usages of RFC 7672 3.1; others are unusable for SMTP.
const (
	daneTA = 2
	daneEE = 3
)

// maxTLSA is how many records are looked at.
const maxTLSA = 32

// Usable says whether a record can name a certificate (RFC 7672 3.1, RFC 6698 2.1).
func Usable(r dns.TLSA) bool {
	if r.Usage != daneTA && r.Usage != daneEE || r.Selector > 1 {
		return false
	}
	switch r.Matching {
	case 0:
		return len(r.Data) > 0
	case 1:
		return len(r.Data) == sha256.Size
	case 2:
		return len(r.Data) == sha512.Size
	}
	return false
}

// verifyDANE wants a certificate that a record names: the peer's own, whatever
// names and times it has (usage 3), or one in its chain (usage 2). Without usable
// records TLS alone is wanted.
func verifyDANE(records []dns.TLSA, chain []*x509.Certificate, names []string) (by, why string, err error) {
	some := false
	for _, r := range records[:min(len(records), maxTLSA)] {
		if !Usable(r) {
			continue
		}
		some = true
		if len(chain) == 0 {
			break
		}
		if r.Usage == daneEE && matches(r, chain[0]) {
			return "DANE-EE", "", nil
		}
		if r.Usage == daneTA && anchored(r, chain, names) {
			return "DANE-TA", "", nil
		}
	}
	if !some {
		return "", "no TLSA record is usable", nil
	}
	return "", "", errors.New("no TLSA record names the peer's certificate")
}

// anchored says whether the chain leads to what the record names, for one of the
// names.
func anchored(r dns.TLSA, chain []*x509.Certificate, names []string) bool {
	o := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	found := false
	if r.Selector == 0 && r.Matching == 0 {
		if c, err := x509.ParseCertificate(r.Data); err == nil {
			o.Roots.AddCert(c)
			found = true
		}
	}
	for _, c := range chain[1:] {
		if matches(r, c) {
			o.Roots.AddCert(c)
			found = true
		}
		o.Intermediates.AddCert(c)
	}
	return found && verifyOne(chain[0], names, o) == nil
}

// matches compares a certificate or its key with the record's data.
func matches(r dns.TLSA, c *x509.Certificate) bool {
	data := c.Raw
	if r.Selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(data, r.Data)
}
