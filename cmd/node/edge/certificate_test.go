package edge

import (
	"crypto/tls"
	"log/slog"
	"net"
	"testing"
)

// TestCipherSuites shakes hands as clients that speak TLS 1.2 with one suite.
func TestCipherSuites(t *testing.T) {
	c, err := openCertificate(throwaway(t, t.TempDir()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for suite, want := range map[uint16]bool{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       true,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          false,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          false,
	} {
		client, server := net.Pipe()
		go func() {
			tls.Server(server, c.tlsConfig()).Handshake()
			server.Close()
		}()
		err := tls.Client(client, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}).Handshake()
		client.Close()
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
	}
}
