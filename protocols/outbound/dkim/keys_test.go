package dkim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"rookery"
)

func TestKeys(t *testing.T) {
	for _, k := range testKeys() {
		der, err := MarshalKey(k.Private)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKey(der)
		if err != nil {
			t.Fatal(err)
		}
		was, err := Record(k.Private.Public())
		if err != nil {
			t.Fatal(err)
		}
		is, err := Record(again.Public())
		if err != nil || is != was {
			t.Errorf("%s: %q (%v), want %q", k.Selector, is, err, was)
		}
		if _, err := ParseKey(der[:len(der)-1]); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("%s, cut: %v", k.Selector, err)
		}
		parts := Strings(is)
		if strings.Join(parts, "") != is {
			t.Errorf("%q is not %q", parts, is)
		}
		for _, part := range parts {
			if len(part) == 0 || len(part) > 255 {
				t.Errorf("%s: a string of %d octets", k.Selector, len(part))
			}
		}
	}
	if _, err := Generate(7); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("a key of no kind: %v", err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"RSA of 1,024 bits": short, "ECDSA": curve} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseKey(der); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Record(curve.Public()); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("a record of ECDSA: %v", err)
	}
}

// A record names the kind of its key, and where it is to be published.
func TestRecord(t *testing.T) {
	record, err := Record(testKeys()[1].Private.Public())
	if err != nil || !strings.HasPrefix(record, "v=DKIM1; k=ed25519; h=sha256; p=") || len(record) != 32+44 {
		t.Errorf("%q, %v", record, err)
	}
	if got := RecordName("rsa-20261130", "example.com"); got != "rsa-20261130._domainkey.example.com" {
		t.Errorf("%q", got)
	}
}

func TestSelector(t *testing.T) {
	day := time.Date(2026, 12, 1, 0, 30, 0, 0, time.FixedZone("", 3600))
	taken := map[string]bool{}
	for _, want := range []string{"ed25519-20261130", "ed25519-20261130-2", "ed25519-20261130-3"} {
		got := Selector(Ed25519, day, func(s string) bool { return taken[s] })
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
		taken[got] = true
	}
	if got := Selector(RSA, day, func(s string) bool { return taken[s] }); got != "rsa-20261130" {
		t.Errorf("%q", got)
	}
}
