package node

import (
	"context"
	"time"
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
	next, err := n.dir.RenewCertificate(n.mesh.creds.Current(), now)
	if err != nil {
		return err
	}
	if err := n.mesh.creds.Replace(next); err != nil {
		return err
	}
	n.deps.Logger.Info("the node's certificate was renewed", "expires", next.Expires())
	return nil
}
