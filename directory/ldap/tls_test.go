package ldap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/directory/embedded"
)

// certificate makes a self-signed server certificate.
func certificate(t *testing.T, cn string, names ...string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, file
}

func TestTLS(t *testing.T) {
	good, goodCA := certificate(t, "dc1", "127.0.0.1")
	cnOnly, cnCA := certificate(t, "127.0.0.1")
	other, otherCA := certificate(t, "x", "ldap.other.test")
	for name, c := range map[string]struct {
		cert   tls.Certificate
		change func(*Config)
		want   string // part of the error, or empty for success
	}{
		"trusted":           {good, func(c *Config) { c.CAFile = goodCA }, ""},
		"unknown authority": {good, func(c *Config) { c.CAFile = otherCA }, "ca_file"},
		"system's":          {good, func(c *Config) {}, "ca_file"},
		"pinned":            {good, func(c *Config) { c.Fingerprints = []string{strings.ToUpper(fingerprint(good.Leaf))} }, ""},
		"wrong pin":         {good, func(c *Config) { c.Fingerprints = []string{fingerprint(other.Leaf)} }, fingerprint(good.Leaf)},
		"common name only":  {cnOnly, func(c *Config) { c.CAFile = cnCA }, "subjectAltName"},
		"CN only, pinned":   {cnOnly, func(c *Config) { c.Fingerprints = []string{fingerprint(cnOnly.Leaf)} }, ""},
		"other name":        {other, func(c *Config) { c.CAFile = otherCA }, "ldap.other.test"},
		"server_name":       {other, func(c *Config) { c.CAFile, c.ServerName = otherCA, "ldap.other.test" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := inProcess(t, embedded.Options{TLSAddr: "127.0.0.1:0", TLS: &tls.Config{Certificates: []tls.Certificate{c.cert}}})
			for scheme, u := range map[string]string{"LDAPS": "ldaps://" + s.TLSAddr().String(), "StartTLS": s.URL()} {
				cfg := embeddedConfig(s)
				cfg.URLs, cfg.StartTLS = []string{u}, scheme == "StartTLS"
				c.change(&cfg)
				_, err := openDirectory(t, cfg).Authenticate(t.Context(), "alice", "secret")
				switch {
				case c.want == "" && err != nil:
					t.Errorf("%s: %v", scheme, err)
				case c.want != "" && (!rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(err.Error(), c.want)):
					t.Errorf("%s: %v, want %q", scheme, err, c.want)
				}
			}
		})
	}
}

func TestStartTLSIsNotSkipped(t *testing.T) {
	s := inProcess(t, embedded.Options{}) // offers none
	c := impatient(embeddedConfig(s))
	c.StartTLS = true
	if _, err := openDirectory(t, c).Authenticate(t.Context(), "alice", "secret"); !rookery.Is(err, rookery.KindUnavailable) {
		t.Error(err)
	}
}
