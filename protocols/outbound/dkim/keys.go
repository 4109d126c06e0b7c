package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"rookery"
)

// Kind is the kind of a key.
type Kind uint8

// The kinds. Both sign: some receivers know RSA alone (RFC 8463 5).
const (
	RSA     Kind = 1 // 2,048 bits: larger records do not fit into every DNS answer
	Ed25519 Kind = 2
)

const rsaBits = 2048

// String is the kind as k= of a record has it.
func (k Kind) String() string {
	switch k {
	case RSA:
		return "rsa"
	case Ed25519:
		return "ed25519"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Generate makes a private key.
func Generate(kind Kind) (crypto.Signer, error) {
	switch kind {
	case RSA:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, rookery.E("make a DKIM key", rookery.KindInvalid, fmt.Errorf("there is no %s", kind))
}

// MarshalKey gives a private key as PKCS #8 (RFC 5958) in DER, unencrypted: the
// caller seals it.
func MarshalKey(private crypto.Signer) ([]byte, error) { return x509.MarshalPKCS8PrivateKey(private) }

// ParseKey reads what MarshalKey gave. Errors: KindDamaged where it is no PKCS #8,
// KindInvalid for a key that cannot sign here: of another kind, or RSA of less
// than 2,048 or more than 4,096 bits (RFC 8301 3.2).
func ParseKey(der []byte) (crypto.Signer, error) {
	const op = "read a DKIM key"
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, rookery.E(op, rookery.KindDamaged, err)
	}
	switch key := parsed.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < rsaBits || bits > 4096 {
			return nil, rookery.E(op, rookery.KindInvalid, fmt.Errorf("an RSA key of %d bits, want 2,048 to 4,096", bits))
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, rookery.E(op, rookery.KindInvalid, fmt.Errorf("a %T signs nothing here", parsed))
}

// Selector names a key by its kind and the day it was made on, as "rsa-20261130".
// taken says that a name has been used; then a number is put behind it.
func Selector(kind Kind, day time.Time, taken func(selector string) bool) string {
	name := kind.String() + "-" + day.UTC().Format("20060102")
	for n, base := 2, name; taken(name); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// RecordName is where the record of a key is published (RFC 6376 3.6.2.1).
func RecordName(selector, domain string) string { return selector + "._domainkey." + domain }

// Record is the text of a key's record (RFC 6376 3.6.1, RFC 8463 4).
func Record(public crypto.PublicKey) (string, error) {
	const op = "write a DKIM record"
	switch key := public.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return "", rookery.E(op, rookery.KindInvalid, err)
		}
		return "v=DKIM1; k=rsa; h=sha256; p=" + base64.StdEncoding.EncodeToString(der), nil
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; h=sha256; p=" + base64.StdEncoding.EncodeToString(key), nil
	}
	return "", rookery.E(op, rookery.KindInvalid, fmt.Errorf("a %T has none", public))
}

// Strings splits the text of a TXT record into strings of at most 255 octets
// (RFC 1035 3.3.14), which readers join again.
func Strings(record string) (parts []string) {
	for len(record) > 255 {
		parts, record = append(parts, record[:255]), record[255:]
	}
	return append(parts, record)
}
