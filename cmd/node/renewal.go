package node

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"rookery"
	"rookery/cluster/transport"
)

// recheckEvery is how often the node looks at its certificate, and at those
// that its connections were made with.
const recheckEvery = time.Minute

// renewCertificate keeps the node's certificate from running out, and ends
// connections that outlive theirs. Every node holds the cluster CA's key, so
// it needs nobody for it.
func (n *Node) renewCertificate(ctx context.Context) error {
	for {
		now := n.deps.Clock()
		if now.After(n.mesh.creds.Current().Renewal()) {
			if err := n.renew(now); err != nil {
				n.deps.Logger.Error("the node's certificate could not be renewed; trying again within the minute",
					"expires", n.mesh.creds.Current().Expires(), "error", err)
			}
		}
		n.mesh.Recheck()
		wait := max(time.Second, min(recheckEvery, n.mesh.creds.Current().Renewal().Sub(now)+time.Millisecond))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) renew(now time.Time) error {
	next, err := renewed(n.cfg.DataDir, n.mesh.creds.Current(), now)
	if err != nil {
		return err
	}
	if err := n.mesh.creds.Replace(next); err != nil {
		return err
	}
	n.deps.Logger.Info("the node's certificate was renewed", "expires", next.Expires())
	return nil
}

// renewed issues and saves another certificate for a node's key, by which alone
// the others know it.
func renewed(dir string, id *transport.Identity, now time.Time) (*transport.Identity, error) {
	ca, err := loadAuthority(dir)
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
	return next, next.Save(filepath.Join(dir, identityDir))
}

// freshIdentity reads a node's identity at its start. A certificate that ran
// out while the node was stopped would be refused by all others, so it is
// renewed before anybody sees it.
func freshIdentity(dir string, now time.Time, logger *slog.Logger) (*transport.Identity, error) {
	id, err := transport.LoadIdentity(filepath.Join(dir, identityDir))
	if err != nil || now.Before(id.Expires()) {
		return id, err
	}
	next, err := renewed(dir, id, now)
	if err != nil {
		return nil, rookery.E("renew node certificate", rookery.KindDamaged, fmt.Errorf(
			"it ended on %s while the node was stopped, and cannot be renewed: %w; bring %s back from another node or the recovery kit (ca_key_pem)",
			id.Expires().Format(time.RFC3339), err, filepath.Join(dir, authorityKey)))
	}
	logger.Warn("the node's certificate had ended while the node was stopped; it was renewed", "ended", id.Expires(), "expires", next.Expires())
	return next, nil
}
