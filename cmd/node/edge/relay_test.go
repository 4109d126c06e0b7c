package edge

import (
	"crypto/tls"
	"log/slog"
	"net"
	"testing"
)

// TestOldTLSIsForTheRelayListenerAlone shakes hands as an old device does.
func TestOldTLSIsForTheRelayListenerAlone(t *testing.T) {
	cert, err := openCertificate(throwaway(t, t.TempDir()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	old := false
	relay := cert.relayTLS(func() bool { return old })
	shake := func(server *tls.Config) error {
		a, b := net.Pipe()
		defer a.Close()
		go func() {
			tls.Server(b, server).Handshake()
			b.Close()
		}()
		return tls.Client(a, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}).Handshake()
	}
	if shake(relay) == nil {
		t.Error("TLS 1.0 is taken before it is allowed")
	}
	old = true
	if err := shake(relay); err != nil {
		t.Errorf("TLS 1.0 is allowed and refused: %v", err)
	}
	if shake(cert.tlsConfig()) == nil {
		t.Error("TLS 1.0 is taken on other listeners")
	}
}
