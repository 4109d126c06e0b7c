// Package identity is who a node of the cluster is: its certificate and key, the
// cluster's authority that signs them, and the tokens by which nodes join.
//
// It owns what a certificate and a token say, how both are checked, and the
// files an identity lies in. It dials nobody and keeps no list of members: who
// belongs to the cluster is the registry's.
package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"rookery"
)

// Identity is who a node is and whom it trusts. It never changes; a renewed
// certificate or another authority makes another Identity.
type Identity struct {
	// Node and Cluster are the names in the certificate.
	Node    rookery.NodeID
	Cluster string

	certPEM, keyPEM, caPEM []byte

	leaf  *x509.Certificate
	roots []*x509.Certificate
	pool  *x509.CertPool
	pair  tls.Certificate // what members are shown
	guest tls.Certificate // what joiners are shown: the authorities too
}

// NewIdentity puts a node's certificate, its key and the trusted authorities
// together, all PEM. KindInvalid:
// they do not fit together. A certificate out of its time is no error here:
// the other side refuses it.
func NewIdentity(certPEM, keyPEM, caPEM []byte) (*Identity, error) {
	fail := func(err error) (*Identity, error) {
		return nil, rookery.E("read node identity", rookery.KindInvalid, err)
	}
	certs, err := parseCertificates(certPEM)
	if err != nil {
		return fail(fmt.Errorf("node certificate: %w", err))
	}
	roots, err := parseCertificates(caPEM)
	if err != nil {
		return fail(fmt.Errorf("authority's certificate: %w", err))
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return fail(fmt.Errorf("node key: %w", err))
	}
	id := &Identity{certPEM: bytes.Clone(certPEM), caPEM: bytes.Clone(caPEM), leaf: certs[0], roots: roots, pool: x509.NewCertPool()}
	if id.Cluster, id.Node, err = NodeOf(id.leaf); err != nil {
		return fail(err)
	}
	for _, root := range roots {
		if cluster, err := clusterOf(root); err != nil || cluster != id.Cluster {
			return fail(fmt.Errorf("an authority is not of cluster %s (%v)", id.Cluster, err))
		}
		id.pool.AddCert(root)
	}
	// Whether it is in its time is for the peers to say; whether it could
	// ever be accepted is known now.
	if _, _, err := id.Verify(certs, id.leaf.NotBefore.Add(time.Second), x509.ExtKeyUsageServerAuth); err != nil {
		return fail(err)
	}
	if !key.PublicKey.Equal(id.leaf.PublicKey) {
		return fail(errors.New("the key is not the certificate's"))
	}
	if id.keyPEM, err = encodeKey(key); err != nil {
		return fail(err)
	}
	id.pair.PrivateKey, id.guest.PrivateKey = key, key
	for _, c := range certs {
		id.pair.Certificate = append(id.pair.Certificate, c.Raw)
	}
	id.pair.Leaf, id.guest.Leaf = id.leaf, id.leaf
	id.guest.Certificate = [][]byte{id.leaf.Raw}
	for _, root := range roots {
		id.guest.Certificate = append(id.guest.Certificate, root.Raw)
	}
	return id, nil
}

// Certificate is what members are shown.
func (id *Identity) Certificate() tls.Certificate { return id.pair }

// JoinCertificate is what joiners are shown: the authorities too.
func (id *Identity) JoinCertificate() tls.Certificate { return id.guest }

// Verify checks the other side's certificates and says who it is.
func (id *Identity) Verify(certs []*x509.Certificate, now time.Time, usage x509.ExtKeyUsage) (*x509.Certificate, rookery.NodeID, error) {
	if len(certs) == 0 {
		return nil, "", errors.New("the other side shows no certificate")
	}
	chains, err := certs[0].Verify(x509.VerifyOptions{Roots: id.pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return nil, "", err
	}
	cluster, node, err := NodeOf(certs[0])
	if err != nil {
		return nil, "", err
	}
	if cluster != id.Cluster {
		return nil, "", fmt.Errorf("the other side is of cluster %s, not %s", cluster, id.Cluster)
	}
	return chains[0][len(chains[0])-1], node, nil
}

// KeyHash is the SHA-256 of the node's public key: what the registry has for
// it. Renewed certificates keep the key.
func (id *Identity) KeyHash() [32]byte { return CertificateKeyHash(id.leaf) }

// CertificateKeyHash is the SHA-256 of the public key in a certificate.
func CertificateKeyHash(cert *x509.Certificate) [32]byte {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// Request asks to certify the node's key again.
func (id *Identity) Request() (requestPEM []byte, err error) {
	return newRequest(id.Node, id.pair.PrivateKey.(*ecdsa.PrivateKey))
}

// Expires is when the certificate ends.
func (id *Identity) Expires() time.Time { return id.leaf.NotAfter }

// Renewal is when two thirds of the certificate's life have passed, and it is
// to be renewed.
func (id *Identity) Renewal() time.Time {
	life := id.leaf.NotAfter.Sub(id.leaf.NotBefore)
	return id.leaf.NotBefore.Add(life * 2 / 3)
}

// Issuer is the fingerprint of the authority that issued the certificate:
// what a token minted on this node carries.
func (id *Identity) Issuer() [32]byte {
	for _, root := range id.roots {
		if id.leaf.CheckSignatureFrom(root) == nil {
			return sha256.Sum256(root.Raw)
		}
	}
	return [32]byte{} // NewIdentity has seen to it that there is one
}

// Trusts reports whether a certificate, DER, is a trusted authority's.
func (id *Identity) Trusts(authority []byte) bool {
	return slices.ContainsFunc(id.roots, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, authority) })
}

// AuthoritiesPEM are the certificates of the trusted authorities.
func (id *Identity) AuthoritiesPEM() []byte { return bytes.Clone(id.caPEM) }

// Renewed is the identity with another certificate of its key.
func (id *Identity) Renewed(certPEM []byte) (*Identity, error) {
	return id.successor(certPEM, id.keyPEM, id.caPEM)
}

// Trusting is the identity with other authorities, of which one must have
// issued its certificate.
func (id *Identity) Trusting(caPEM []byte) (*Identity, error) {
	return id.successor(id.certPEM, id.keyPEM, caPEM)
}

func (id *Identity) successor(certPEM, keyPEM, caPEM []byte) (*Identity, error) {
	next, err := NewIdentity(certPEM, keyPEM, caPEM)
	if err != nil {
		return nil, err
	}
	return next, id.sameNode(next)
}

func (id *Identity) sameNode(next *Identity) error {
	if next.Node != id.Node || next.Cluster != id.Cluster {
		return rookery.E("replace node identity", rookery.KindConflict, fmt.Errorf(
			"it is of node %s of cluster %s, this is %s of %s", next.Node, next.Cluster, id.Node, id.Cluster))
	}
	return nil
}
