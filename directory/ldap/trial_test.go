package ldap

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
)

// What a server keeps about itself is not offered as a base for people.
func TestBasesHoldPeople(t *testing.T) {
	for base, want := range map[string]bool{
		"dc=example,dc=com": true, "ou=people,o=x": true, "o=accesslog company": true, "cn=accesslog": false, "CN=Configuration,DC=a,DC=b": false,
		"cn = Monitor": false, "cn=config": false, "DC=ForestDnsZones,DC=a": false, "cn=changelog": false,
	} {
		if got := holdsPeople(base); got != want {
			t.Errorf("%s: %v", base, got)
		}
	}
}

// The mend of a certificate names keys that the settings have.
func TestTLSMendNamesKeysThatExist(t *testing.T) {
	leaf := &x509.Certificate{DNSNames: []string{"ldap.example.com"}}
	err := explainTLS(&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{leaf},
		Err: x509.HostnameError{Certificate: leaf, Host: "ldap"}})
	if text := err.Error(); strings.Contains(text, "fingerprints") || strings.Contains(text, "server_name") ||
		strings.Contains(text, "ca_file") ||
		!strings.Contains(text, "[ldap.example.com]") || !strings.Contains(text, "fingerprint = \"") {
		t.Errorf("%s", text)
	}
}
