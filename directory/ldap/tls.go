package ldap

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"rookery"
)

// tlsConfig is strict: TLS 1.2, a trusted chain and the server's name, unless
// the certificate itself is pinned.
func (c Config) tlsConfig(host string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if c.ServerName != "" {
		t.ServerName = c.ServerName
	}
	var err error
	if t.RootCAs, err = authorities(c.CAFile); err != nil {
		return nil, rookery.E("read directory authorities", rookery.KindInvalid, fmt.Errorf("ca_file: %w", err))
	}
	if len(c.Fingerprints) == 0 {
		return t, nil
	}
	pins := map[string]bool{}
	for _, f := range c.Fingerprints {
		pins[plainHex(f)] = true
	}
	t.InsecureSkipVerify = true // VerifyConnection decides instead
	t.VerifyConnection = func(cs tls.ConnectionState) error {
		have := fingerprint(cs.PeerCertificates[0])
		if !pins[have] {
			return fmt.Errorf("the server's certificate has the SHA-256 fingerprint %s, which is not pinned", have)
		}
		return nil
	}
	return t, nil
}

// authorities are those of a PEM file, nil (the system's) for none.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// explainTLS adds the mend to a failed handshake.
func explainTLS(err error) error {
	var bad *tls.CertificateVerificationError
	if !errors.As(err, &bad) || len(bad.UnverifiedCertificates) == 0 {
		return err
	}
	leaf := bad.UnverifiedCertificates[0]
	mend := "name its authority in ca_file"
	var host x509.HostnameError
	switch {
	case errors.As(err, &host) && len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0:
		mend = fmt.Sprintf("the certificate has only a common name (%q) and no subjectAltName, which is not accepted: issue it anew "+
			"with the server's name", leaf.Subject.CommonName)
	case errors.As(err, &host):
		mend = fmt.Sprintf("it is for %v %v: use such a name in urls", leaf.DNSNames, leaf.IPAddresses)
	}
	return fmt.Errorf("%w; %s, or, if it is the right one, pin it: fingerprint = %q", err, mend, fingerprint(leaf))
}

// verifyChain is what crypto/tls does by itself: chain and name.
func verifyChain(c *tls.Config, cs tls.ConnectionState) error {
	opts := x509.VerifyOptions{Roots: c.RootCAs, DNSName: c.ServerName, Intermediates: x509.NewCertPool()}
	for _, cert := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	if _, err := cs.PeerCertificates[0].Verify(opts); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
	}
	return nil
}
