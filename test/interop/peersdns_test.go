package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs the certificates of the other systems.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, dir string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	a := &authority{cert, key, filepath.Join(dir, "ca.pem")}
	must(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	return a
}

// pair writes a certificate for names with its key into dir, and gives the
// SHA-256 of the public key, as TLSA 3 1 1 has it.
func (a *authority) pair(t *testing.T, dir, name string, names ...string) (cert, key, sum string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &k.PublicKey, a.key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	cert, key = filepath.Join(dir, name+".cert.pem"), filepath.Join(dir, name+".key.pem")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return cert, key, fmt.Sprintf("%x", sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
}

// zone holds what its records name: certificates and keys of the hosts.
type zone struct {
	cert, key         string // Postfix's
	eximCert, eximKey string
}

// wrongSum is of no key; lastSum is what becomes of it behind the zone's back.
const (
	wrongSum = "00000000000000000000000000000000000000000000000000000000000000aa"
	lastSum  = "00000000000000000000000000000000000000000000000000000000000000bb"
	bogusSum = "00000000000000000000000000000000000000000000000000000000000000cc"
)

// startDNS signs the zone far.example and has unbound serve and validate it. The
// TLSA records of one host are altered after they were signed.
func (w *peers) startDNS() *zone {
	z := &zone{}
	var sum, eximSum string
	z.cert, z.key, sum = w.ca.pair(w.t, w.dir, "postfix", "mx.far.example", "mxsts.far.example")
	z.eximCert, z.eximKey, eximSum = w.ca.pair(w.t, w.dir, "exim", "mxexim.far.example")
	records := []string{"$ORIGIN far.example.", "$TTL 300", "@ SOA ns hostmaster 1 3600 600 86400 60", "@ NS ns", "ns A " + dnsAt}
	mx := func(domain, host, at, tlsa string) {
		records = append(records, domain+" MX 10 "+host)
		if at != "" {
			records = append(records, host+" A "+at)
		}
		if tlsa != "" {
			records = append(records, "_25._tcp."+host+" TLSA 3 1 1 "+tlsa)
		}
	}
	mx("good", "mx", postfixAt, sum)
	mx("wrong", "mxwrong", postfixAt, wrongSum)
	mx("bogus", "mxbogus", postfixAt, bogusSum)
	mx("absent", "mxabsent", postfixAt, "")
	mx("plain", "mxplain", plainAt, "")
	mx("enforced", "mxsts", postfixAt, "")
	mx("misnamed", "mxmisnamed", postfixAt, "")
	mx("unlisted", "mxunlisted", postfixAt, "")
	mx("tested", "mxtested", postfixAt, "")
	mx("required", "mxrequired", postfixAt, "")
	mx("exim", "mxexim", eximAt, eximSum)
	for _, d := range []string{"enforced", "misnamed", "unlisted", "tested"} {
		records = append(records, "_mta-sts."+d+` TXT "v=STSv1; id=1;"`, "mta-sts."+d+" A "+policyAt)
	}
	path := w.file("dns/far.example", strings.Join(records, "\n")+"\n")
	dir := filepath.Dir(path)
	name := strings.TrimSpace(w.sh("sh", "-c", "cd "+dir+" && ldns-keygen -a ECDSAP256SHA256 -k far.example"))
	w.sh("ldns-signzone", "-o", "far.example", "-f", path+".signed", path, filepath.Join(dir, name))
	signed, err := os.ReadFile(path + ".signed")
	must(w.t, err)
	if !strings.Contains(string(signed), bogusSum) {
		w.t.Fatalf("the signed zone lacks a record:\n%s", signed)
	}
	must(w.t, os.WriteFile(path+".signed", []byte(strings.ReplaceAll(string(signed), bogusSum, lastSum)), 0o644))
	conf := w.file("dns/unbound.conf", fmt.Sprintf(`server:
  interface: %s
  port: 53
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "%s"
  pidfile: ""
  use-syslog: no
  trust-anchor-file: "%s"
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  local-zone: "arpa." static
  local-zone: "example.test." static
remote-control:
  control-enable: no
auth-zone:
  name: "far.example"
  zonefile: "%s"
  for-downstream: no
  for-upstream: yes
`, dnsAt, dir, filepath.Join(dir, name+".key"), path+".signed"))
	w.run("unbound.log", "unbound", "-d", "-c", conf)
	w.listens(dnsAt + ":53")
	return z
}
