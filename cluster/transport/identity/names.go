package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"rookery"
)

var (
	nodeForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	clusterForm = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// CheckNode refuses what is no node's name.
func CheckNode(node rookery.NodeID) error {
	if !nodeForm.MatchString(string(node)) {
		return fmt.Errorf("%.100q is not a node's name: 1 to 64 letters, digits, dots, dashes and underscores", string(node))
	}
	return nil
}

// nodeURI is a node's name in its certificate.
func nodeURI(cluster string, node rookery.NodeID) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: cluster, Path: "/node/" + string(node)}
}

// NodeOf reads a node's name from its certificate.
func NodeOf(cert *x509.Certificate) (cluster string, node rookery.NodeID, err error) {
	if len(cert.URIs) != 1 {
		return "", "", fmt.Errorf("the certificate has %d URIs, not one", len(cert.URIs))
	}
	u := cert.URIs[0]
	name, ok := strings.CutPrefix(u.Path, "/node/")
	node = rookery.NodeID(name)
	if !ok || u.Scheme != "spiffe" || !clusterForm.MatchString(u.Host) || *u != *nodeURI(u.Host, node) {
		return "", "", fmt.Errorf("%.200q is not the URI of a node", u)
	}
	return u.Host, node, CheckNode(node)
}

// clusterOf reads the cluster's id from an authority's certificate.
func clusterOf(cert *x509.Certificate) (string, error) {
	if !cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].Scheme != "spiffe" || !clusterForm.MatchString(cert.URIs[0].Host) ||
		cert.URIs[0].Path != "" {
		return "", errors.New("the certificate is not a cluster's authority")
	}
	return cert.URIs[0].Host, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, rookery.E("write key", rookery.KindInvalid, err)
	}
	return encode(keyBlock, der), nil
}

// blocks gives the contents of all PEM blocks, which must be of one kind.
func blocks(kind string, data []byte) (out [][]byte, err error) {
	for {
		var b *pem.Block
		b, data = pem.Decode(data)
		if b == nil {
			break
		}
		if b.Type != kind {
			return nil, fmt.Errorf("a PEM block is a %.50q, not a %s", b.Type, kind)
		}
		out = append(out, b.Bytes)
	}
	if len(out) == 0 || len(bytes.TrimSpace(data)) > 0 {
		return nil, fmt.Errorf("want PEM blocks of type %s and nothing else", kind)
	}
	return out, nil
}

func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	ders, err := blocks(certificateBlock, data)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	return certs, nil
}

func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	ders, err := blocks(keyBlock, data)
	if err != nil {
		return nil, err
	}
	if len(ders) != 1 {
		return nil, fmt.Errorf("want one key, have %d", len(ders))
	}
	k, err := x509.ParsePKCS8PrivateKey(ders[0])
	if err != nil {
		return nil, err
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not ECDSA")
	}
	return key, nil
}
