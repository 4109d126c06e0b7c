package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"rookery"
)

// Lifetimes of certificates.
const (
	// NodeLifetime is how long a node's certificate is valid; it is renewed
	// when two thirds of it have passed.
	NodeLifetime = 90 * 24 * time.Hour
	// AuthorityLifetime is how long the authority's certificate is valid.
	AuthorityLifetime = 20 * 365 * 24 * time.Hour

	// backdate allows for clocks that are behind.
	backdate = 10 * time.Minute
)

// PEM block types.
const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
	requestBlock     = "CERTIFICATE REQUEST"
)

// Authority is the cluster's certificate authority, its key in clear: sealing
// it at rest is the caller's.
type Authority struct {
	cluster string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

// CreateAuthority makes the authority of a new cluster and, with it, the
// cluster's id.
func CreateAuthority(now time.Time) (*Authority, error) {
	var id [16]byte
	rand.Read(id[:])
	return createAuthority(hex.EncodeToString(id[:]), now)
}

// Successor makes a new authority of the same cluster. Nodes must trust both
// before the first certificate is issued by it, and until the last one of
// the old has been replaced.
func (a *Authority) Successor(now time.Time) (*Authority, error) {
	return createAuthority(a.cluster, now)
}

func createAuthority(cluster string, now time.Time) (*Authority, error) {
	const op = "create authority"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable, err)
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Rookery cluster " + cluster},
		URIs:      []*url.URL{{Scheme: "spiffe", Host: cluster}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(AuthorityLifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	return &Authority{cluster: cluster, cert: cert, key: key}, nil
}

// ParseAuthority reads what CertificatePEM and KeyPEM gave.
func ParseAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	fail := func(err error) (*Authority, error) {
		return nil, rookery.E("read authority", rookery.KindInvalid, err)
	}
	certs, err := parseCertificates(certPEM)
	if err != nil || len(certs) != 1 {
		return fail(fmt.Errorf("want one certificate, have %d (%v)", len(certs), err))
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return fail(err)
	}
	cluster, err := clusterOf(certs[0])
	if err != nil {
		return fail(err)
	}
	if !key.PublicKey.Equal(certs[0].PublicKey) {
		return fail(errors.New("the key is not the certificate's"))
	}
	return &Authority{cluster: cluster, cert: certs[0], key: key}, nil
}

// OpenAuthority finds the authority of a key, which Secret gave, among
// certificates.
func OpenAuthority(certsPEM, secret []byte) (*Authority, error) {
	fail := func(err error) (*Authority, error) {
		return nil, rookery.E("read authority", rookery.KindInvalid, err)
	}
	certs, err := parseCertificates(certsPEM)
	if err != nil {
		return fail(err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
	if err != nil {
		return fail(errors.New("the key is no authority's")) // the cause may tell of it
	}
	for _, cert := range certs {
		if !key.PublicKey.Equal(cert.PublicKey) {
			continue
		}
		cluster, err := clusterOf(cert)
		if err != nil {
			return fail(err)
		}
		return &Authority{cluster: cluster, cert: cert, key: key}, nil
	}
	return fail(errors.New("none of the certificates is the key's"))
}

// Secret is the private key in its 32 bytes, in clear.
func (a *Authority) Secret() ([]byte, error) {
	b, err := a.key.Bytes()
	if err != nil {
		return nil, rookery.E("write authority's key", rookery.KindInvalid, err)
	}
	return b, nil
}

// SecretOf is the Secret of an authority's key that KeyPEM gave.
func SecretOf(keyPEM []byte) ([]byte, error) {
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, rookery.E("read authority's key", rookery.KindInvalid, err)
	}
	return (&Authority{key: key}).Secret()
}

// Certificate is the certificate, DER.
func (a *Authority) Certificate() []byte { return a.cert.Raw }

// CertificatesPEM puts certificates, each DER, into the form of a file.
func CertificatesPEM(ders ...[]byte) (out []byte) {
	for _, der := range ders {
		out = append(out, encode(certificateBlock, der)...)
	}
	return out
}

// Cluster is the cluster's id: 32 hexadecimal digits.
func (a *Authority) Cluster() string { return a.cluster }

// CertificatePEM is the certificate, which is no secret.
func (a *Authority) CertificatePEM() []byte { return encode(certificateBlock, a.cert.Raw) }

// KeyPEM is the private key, PKCS #8, in clear.
func (a *Authority) KeyPEM() ([]byte, error) { return encodeKey(a.key) }

// Issue signs a certificate for node with the public key of a request. Of
// the request nothing else is believed: who it is for is the caller's to
// know. KindInvalid: the request or the node's name is no good.
func (a *Authority) Issue(requestPEM []byte, node rookery.NodeID, now time.Time) (certPEM []byte, err error) {
	const op = "issue certificate"
	if err := CheckNode(node); err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	key, err := requestKey(requestPEM)
	if err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: string(node)},
		URIs:      []*url.URL{nodeURI(a.cluster, node)},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(NodeLifetime),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if t.NotBefore.Before(a.cert.NotBefore) { // the issuing node's clock is behind
		t.NotBefore = a.cert.NotBefore
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key, a.key)
	if err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	return encode(certificateBlock, der), nil
}

// NewRequest makes a key and the request to certify it.
func NewRequest(node rookery.NodeID) (requestPEM, keyPEM []byte, err error) {
	const op = "request certificate"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, rookery.E(op, rookery.KindUnavailable, err)
	}
	if requestPEM, err = newRequest(node, key); err != nil {
		return nil, nil, err
	}
	keyPEM, err = encodeKey(key)
	return requestPEM, keyPEM, err
}

func newRequest(node rookery.NodeID, key *ecdsa.PrivateKey) ([]byte, error) {
	t := &x509.CertificateRequest{Subject: pkix.Name{CommonName: string(node)}}
	der, err := x509.CreateCertificateRequest(rand.Reader, t, key)
	if err != nil {
		return nil, rookery.E("request certificate", rookery.KindInvalid, err)
	}
	return encode(requestBlock, der), nil
}

// KeyHash is the SHA-256 of the public key in a request: what the registry and
// a used invitation keep of a node.
func KeyHash(requestPEM []byte) ([32]byte, error) {
	key, err := requestKey(requestPEM)
	if err != nil {
		return [32]byte{}, rookery.E("read request", rookery.KindInvalid, err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return [32]byte{}, rookery.E("read request", rookery.KindInvalid, err)
	}
	return sha256.Sum256(der), nil
}

func requestKey(requestPEM []byte) (*ecdsa.PublicKey, error) {
	block, rest := pem.Decode(requestPEM)
	if block == nil || block.Type != requestBlock || len(rest) > 0 {
		return nil, errors.New("the certificate request is not one PEM block of its kind")
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	if err := r.CheckSignature(); err != nil {
		return nil, err
	}
	key, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key to certify is not ECDSA P-256")
	}
	return key, nil
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f // positive, RFC 5280 4.1.2.2
	return new(big.Int).SetBytes(b[:])
}

// FingerprintOf is the Fingerprint of a certificate, DER.
func FingerprintOf(cert []byte) [32]byte { return sha256.Sum256(cert) }

// Fingerprint is the SHA-256 of the certificate, as tokens carry it.
func (a *Authority) Fingerprint() [32]byte { return sha256.Sum256(a.cert.Raw) }
