package datadir

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"rookery"
	"rookery/cluster/transport/identity"
	"rookery/storage/keys"
)

// Authority reads the cluster CA with its key, which every node holds sealed
// under its tenant keys.
func (d Dir) Authority(ring *keys.Keyring) (*identity.Authority, error) {
	cert, err := os.ReadFile(d.path(filepath.Join(certificateDir, identity.AuthoritiesFile)))
	if err != nil {
		return nil, rookery.E("read cluster CA", rookery.KindUnavailable, err)
	}
	keys, err := d.open(ring, authorityKey)
	if err != nil {
		return nil, err
	}
	defer clear(keys)
	return authorityOf(cert, keys, d.path(authorityKey))
}

// authorityOf is the authority whose key is in use by the content of a file,
// from its certificate among others.
func authorityOf(certsPEM, plain []byte, from string) (*identity.Authority, error) {
	ring, err := parseRing(authorityKey, plain, from)
	if err != nil {
		return nil, err
	}
	defer ring.Clear()
	key, _ := ring.Tenant(ring.Current())
	defer key.Clear()
	return identity.OpenAuthority(certsPEM, key.Secret())
}

// issue gives a new key of a node its certificate.
func issue(ca *identity.Authority, node rookery.NodeID, now time.Time) (*identity.Identity, error) {
	request, key, err := identity.NewRequest(node)
	if err != nil {
		return nil, err
	}
	cert, err := ca.Issue(request, node, now)
	if err != nil {
		return nil, err
	}
	return identity.NewIdentity(cert, key, ca.CertificatePEM())
}

// Certificate reads what the node shows to others at its start. A certificate
// that ran out while the node was stopped would be refused by all, so it is
// renewed before anybody sees it.
func (d Dir) Certificate(node rookery.NodeID, ring *keys.Keyring, now time.Time, logger *slog.Logger) (*identity.Identity, error) {
	id, err := identity.LoadIdentity(d.path(certificateDir))
	if err != nil {
		return nil, err
	}
	if !now.Before(id.Expires()) {
		next, err := d.RenewCertificate(id, ring, now)
		if err != nil {
			return nil, rookery.E("renew node certificate", rookery.KindDamaged, fmt.Errorf(
				"it ended on %s while the node was stopped, and cannot be renewed: %w; bring %s back from another node or the recovery kit "+
					"(ca_key_pem)",
				id.Expires().Format(time.RFC3339), err, d.path(authorityKey)))
		}
		logger.Warn("the node's certificate had ended while the node was stopped; it was renewed", "ended", id.Expires(), "expires",
			next.Expires())
		id = next
	}
	if id.Node != node {
		return nil, rookery.E("open transport", rookery.KindDamaged,
			fmt.Errorf("the certificate in %s is of node %s, the directory of node %s; bring both back from one backup", certificateDir,
				id.Node, node))
	}
	return id, nil
}

// SaveCertificate keeps what the node shows to others, and whom it trusts.
func (d Dir) SaveCertificate(id *identity.Identity) error { return id.Save(d.path(certificateDir)) }

// RenewCertificate issues and saves another certificate for the node's key, by
// which alone the others know it.
func (d Dir) RenewCertificate(id *identity.Identity, ring *keys.Keyring, now time.Time) (*identity.Identity, error) {
	ca, err := d.Authority(ring)
	if err != nil {
		return nil, err
	}
	request, err := id.Request()
	if err != nil {
		return nil, err
	}
	cert, err := ca.Issue(request, id.Node, now)
	if err != nil {
		return nil, err
	}
	next, err := id.Renewed(cert)
	if err != nil {
		return nil, err
	}
	return next, next.Save(d.path(certificateDir))
}
