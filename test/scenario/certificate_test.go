package scenario

import (
	"context"
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

	"github.com/pelletier/go-toml/v2"

	"rookery/cmd/node/datadir"
	"rookery/test/harness"
)

// readPEM gives the content of a file's first PEM block.
func readPEM(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s holds no PEM", path)
	}
	return block.Bytes
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func newKey(t *testing.T) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return key, der
}

// reissue gives a stopped node a certificate of its cluster's CA for another
// time, as if it had been made then.
func reissue(t *testing.T, d *harness.Dev, name string, from, to time.Time) {
	t.Helper()
	dir := filepath.Join(d.Dir, name)
	old, err := x509.ParseCertificate(readPEM(t, filepath.Join(dir, "identity", "node.pem")))
	must(t, err)
	ca, err := x509.ParseCertificate(readPEM(t, filepath.Join(dir, "identity", "ca.pem")))
	must(t, err)
	tenant, err := datadir.Dir(dir).TenantKeys(nil).Load(t.Context())
	must(t, err)
	authority, err := datadir.Dir(dir).Authority(tenant)
	must(t, err)
	keyPEM, err := authority.KeyPEM()
	must(t, err)
	block, _ := pem.Decode(keyPEM)
	caKey, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	next := &x509.Certificate{
		SerialNumber: big.NewInt(to.UnixNano()), Subject: old.Subject, URIs: old.URIs, NotBefore: from, NotAfter: to,
		BasicConstraintsValid: true, KeyUsage: old.KeyUsage, ExtKeyUsage: old.ExtKeyUsage,
	}
	der, err := x509.CreateCertificate(rand.Reader, next, ca, old.PublicKey, caKey) // its key is registered
	must(t, err)
	writePEM(t, filepath.Join(dir, "identity", "node.pem"), "CERTIFICATE", der)
}

// shown is the certificate that a node shows to other nodes now.
func shown(t *testing.T, d *harness.Dev, name string) *x509.Certificate {
	t.Helper()
	var file struct {
		Cluster struct {
			Listen string `toml:"listen"`
		} `toml:"cluster"`
	}
	b, err := os.ReadFile(filepath.Join(d.Dir, name, "rookery.toml"))
	must(t, err)
	must(t, toml.Unmarshal(b, &file))
	// Who joins is no member yet and sees it all the same.
	return leaf(t, file.Cluster.Listen, "rookery-join/1")
}

func leaf(t *testing.T, address string, protocols ...string) *x509.Certificate {
	t.Helper()
	raw, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(harness.Patience(10 * time.Second)))
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	if err := c.Handshake(); err != nil {
		return nil
	}
	return c.ConnectionState().PeerCertificates[0]
}

// Certificates of nodes that are about to end are renewed while mail flows and
// sessions go on; when the old ones have ended, a node that starts anew, and
// so is dialled with the new ones alone, serves.
func TestNodeCertificatesRotate(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes, and waits until certificates have ended")
	}
	t.Parallel() // it mostly waits
	d := harness.StartCluster(t, t.TempDir(), 3)
	o := operator{t, d, "node1"}
	for _, n := range d.Facts.Nodes {
		must(t, d.StopNode(n.Name))
	}
	const life = 75 * time.Second // renewed after two thirds
	ends := time.Now().Add(life)
	for _, name := range []string{"node1", "node2", "node3"} {
		reissue(t, d, name, time.Now(), ends)
		must(t, d.StartNode(name))
	}
	o.until(time.Minute, "the cluster is whole with short-lived certificates", func(s status) bool {
		return s.whole() && s.alive("node1") && s.alive("node2") && s.alive("node3")
	})
	for _, n := range d.Facts.Nodes {
		if c := shown(t, d, n.Name); c == nil || c.NotAfter.After(ends.Add(time.Second)) {
			t.Fatalf("%s does not use the short-lived certificate", n.Name)
		}
	}
	idle := make([]*client, 3)
	for i, n := range d.Facts.Nodes {
		u := d.Facts.Users[i]
		c := dial(t, d, n.IMAPS)
		defer c.close()
		c.until("* OK")
		c.send("a LOGIN %s %s\r\nb SELECT INBOX\r\n", u.Login, u.Password)
		c.until("b OK")
		c.conn.SetDeadline(time.Now().Add(5 * time.Minute))
		idle[i] = c
	}
	l := startLoad(t, d, d.Facts.Nodes...)
	defer l.stop()
	l.more("with the short-lived certificates")
	ctx, cancel := context.WithDeadline(t.Context(), ends)
	defer cancel()
	for _, n := range d.Facts.Nodes {
		if err := harness.Poll(ctx, func() (bool, error) {
			c := shown(t, d, n.Name)
			return c != nil && c.NotAfter.After(ends.Add(24*time.Hour)), nil
		}); err != nil {
			t.Fatalf("%s has not renewed its certificate before it ended", n.Name)
		}
	}
	l.more("with renewed certificates")
	if wait := time.Until(ends.Add(time.Second)); wait > 0 {
		<-time.After(wait)
	}
	l.more("after the old certificates have ended")
	must(t, d.KillNode("node3"))
	must(t, d.StartNode("node3"))
	o.until(time.Minute, "a node is dialled anew", func(s status) bool { return s.alive("node3") && s.whole() })
	l.more("after a node was dialled anew")
	for i, c := range idle[:2] {
		c.send("c NOOP\r\n")
		if c.until("c OK"); c.err != nil {
			t.Errorf("the session on %s did not go on: %v", d.Facts.Nodes[i].Name, c.err)
		}
	}
	l.stop()
	for _, u := range d.Facts.Users {
		filed(t, d, u, l.acknowledged)
	}
}

// A node whose certificate ended while it was stopped renews it at its start
// by itself. Without the CA's key it says what is missing and where it is.
func TestCertificateEndedWhileStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	o := operator{t, d, "node1"}
	o.until(time.Minute, "the cluster is whole", status.wholeOfAll)
	must(t, d.StopNode("node3"))
	begin := time.Now()
	reissue(t, d, "node3", begin.Add(-9*time.Minute), begin.Add(-time.Minute))

	key := filepath.Join(d.Dir, "node3", "keys", "ca.key")
	must(t, os.Rename(key, key+".away"))
	out, code := operator{t, d, "node3"}.serveOnce()
	if code != 6 || !strings.Contains(out, "while the node was stopped") || !strings.Contains(out, "keys/ca.key") ||
		!strings.Contains(out, "recovery kit") {
		t.Errorf("without the CA's key: exit code %d: %s", code, out)
	}
	must(t, os.Rename(key+".away", key))
	must(t, d.StartNode("node3"))
	o.until(time.Minute, "node3 is back", func(s status) bool { return s.alive("node3") && s.whole() })
	if c := shown(t, d, "node3"); c == nil || c.NotAfter.Before(begin.Add(24*time.Hour)) {
		t.Error("node3 shows no renewed certificate")
	}
	if err := useMailbox(t, d, d.Facts.Nodes[2], d.Facts.Nodes[0], d.Facts.Users[0]); err != nil {
		t.Error("node3 does not serve:", err)
	}
}

// The certificate of the mail listeners is replaced on disk: half replaced the
// old one goes on, whole the new one is served, and sessions stay.
func TestListenerCertificateReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts a node, and waits until it looks at its files")
	}
	t.Parallel() // it mostly waits
	d := harness.StartDev(t, t.TempDir())
	n, u := d.Node(), d.Facts.Users[0]
	held := dial(t, d, n.IMAPS)
	defer held.close()
	held.until("* OK")
	held.send("a LOGIN %s %s\r\n", u.Login, u.Password)
	held.until("a OK")
	held.conn.SetDeadline(time.Now().Add(2 * time.Minute))
	before := leaf(t, n.IMAPS)
	if before == nil {
		t.Fatal("no certificate is shown")
	}
	key, keyDER := newKey(t)
	next := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, next, next, key.Public(), key)
	must(t, err)
	files := filepath.Join(d.Dir, "tls")
	writePEM(t, filepath.Join(files, "cert.pem"), "CERTIFICATE", der)
	looked := time.Now().Add(12 * time.Second) // it looks every 10 s
	for time.Now().Before(looked) {
		if c := leaf(t, n.IMAPS); c == nil || c.SerialNumber.Cmp(before.SerialNumber) != 0 {
			t.Fatal("with half of the pair replaced the old certificate is not served any more")
		}
		<-time.After(200 * time.Millisecond)
	}
	writePEM(t, filepath.Join(files, "key.pem"), "PRIVATE KEY", keyDER)
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(30*time.Second))
	defer cancel()
	for _, address := range []string{n.IMAPS, n.POP3S, n.Submissions} {
		if err := harness.Poll(ctx, func() (bool, error) {
			c := leaf(t, address)
			return c != nil && c.SerialNumber.Cmp(next.SerialNumber) == 0, nil
		}); err != nil {
			t.Errorf("the new certificate is not served at %s", address)
		}
	}
	held.send("b NOOP\r\n")
	if held.until("b OK"); held.err != nil {
		t.Errorf("the session that stood did not go on: %v", held.err)
	}
}
