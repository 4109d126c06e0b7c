package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rookery/cmd/node/settings"
	"rookery/directory/embedded"
)

const (
	testDomain = "example.test"
	testPeople = 6
)

func login(i int) string { return fmt.Sprintf("user%d@%s", i, testDomain) }

// directoryServer is the embedded directory with the test's people.
func directoryServer(t *testing.T) *embedded.Server {
	t.Helper()
	s, err := embedded.Open(embedded.Options{Addr: "127.0.0.1:0", Base: "dc=example,dc=test", AdminPassword: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i := range testPeople {
		if err := s.AddUser(embedded.User{UID: fmt.Sprintf("user%d", i), Mail: login(i), Password: "secret"}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func testSettings(dir *embedded.Server) *settings.Cluster {
	s := settings.Default()
	s.Domains = []string{testDomain}
	d := settings.DefaultDirectory()
	d.URLs, d.Base, d.Profile = []string{dir.URL()}, "dc=example,dc=test", "openldap"
	d.BindDN, d.Password = "cn=admin,dc=example,dc=test", "secret"
	d.Copy = "0s" // most tests change the directory, and want it known at once
	s.Directories["main"] = d
	return &s
}

// testConfig is a node in a directory of its own with a throwaway certificate.
func testConfig(t *testing.T) settings.Node {
	t.Helper()
	dir := t.TempDir()
	c := settings.DefaultNode()
	c.Name, c.Hostname, c.DataDir = "node1", "localhost", filepath.Join(dir, "data")
	c.TLS = throwaway(t, dir)
	c.Admin = filepath.Join(dir, "admin.sock")
	c.Listen = settings.Listen{SMTP: []string{"127.0.0.1:0"}, IMAPS: []string{"127.0.0.1:0"}, POP3S: []string{"127.0.0.1:0"}}
	c.Cluster.Listen = "127.0.0.1:0"
	c.Disk.SoftFree, c.Disk.HardFree = 0, 0
	return c
}

func throwaway(t *testing.T, dir string) settings.TLSFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := settings.TLSFiles{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{
		f.Certificate: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// testDeps are those of a node that starts quickly and whose log, state and
// packs turn over within seconds.
func testDeps(t *testing.T, dir *embedded.Server) Deps {
	t.Helper()
	var first *settings.Cluster
	if dir != nil {
		first = testSettings(dir)
	}
	return Deps{
		Logger:   slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
		OnStall:  func(err error) { t.Errorf("the log has stalled: %v", err) },
		Settings: first, Create: true,
		tuning: tuning{
			heartbeat: 60 * time.Millisecond, segment: 1 << 20, logBudget: 3 << 20, memTable: 256 << 10,
			snapshots: 20, snapshotEvery: 100 * time.Millisecond, trailing: 1, packAge: 100 * time.Millisecond, quorum: 15 * time.Second,
			start: time.Minute,
		},
	}
}

// closeTest closes a node within a bound.
func closeTest(n *Node) error { return closeWithin(n, 2*time.Minute) }

func closeWithin(n *Node, bound time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	return n.Close(ctx)
}
