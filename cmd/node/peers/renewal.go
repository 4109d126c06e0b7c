package peers

import (
	"bytes"
	"context"
	"time"
)

// recheckEvery is how often the node looks at its certificate, and at those
// that its connections were made with.
const recheckEvery = time.Minute

// RenewCertificate keeps the node's certificate from running out, and ends
// connections that outlive theirs, until ctx ends. Every node holds the cluster
// CA's key, so it needs nobody for it.
func (p *Peers) RenewCertificate(ctx context.Context) error {
	for {
		now := p.opts.Clock()
		if now.After(p.creds.Current().Renewal()) {
			if err := p.renew(now); err != nil {
				p.logger.Error("the node's certificate could not be renewed; trying again within the minute",
					"expires", p.creds.Current().Expires(), "error", err)
			}
		}
		p.transport.Recheck()
		wait := max(time.Second, min(recheckEvery, p.creds.Current().Renewal().Sub(now)+time.Millisecond))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// Renew gives the node a certificate by the authority in use.
func (p *Peers) Renew() error { return p.renew(p.opts.Clock()) }

// Trust has the node trust authorities, and no others, from now on and after a
// start; one of them must have issued its certificate.
func (p *Peers) Trust(certsPEM []byte) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	id := p.creds.Current()
	if bytes.Equal(id.AuthoritiesPEM(), certsPEM) {
		return nil
	}
	next, err := id.Trusting(certsPEM)
	if err != nil {
		return err
	}
	if err := p.dir.SaveCertificate(next); err != nil {
		return err
	}
	if err := p.creds.Replace(next); err != nil {
		return err
	}
	p.transport.Recheck()
	return nil
}

func (p *Peers) renew(now time.Time) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	next, err := p.dir.RenewCertificate(p.creds.Current(), p.opts.TenantKeys, now)
	if err != nil {
		return err
	}
	if err := p.creds.Replace(next); err != nil {
		return err
	}
	p.logger.Info("the node's certificate was renewed", "expires", next.Expires())
	return nil
}
