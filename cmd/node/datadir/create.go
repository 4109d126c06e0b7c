package datadir

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/settings"
	"rookery/internal/durable"
	"rookery/storage/keys"
)

// Creatable tells, before anything is asked, what would keep Create from
// making this machine the first of a cluster.
func Creatable(cfg settings.Node) error {
	if err := checkCertificate(cfg.TLS); err != nil {
		return err
	}
	return Dir(cfg.DataDir).refuseExisting("create cluster", vfs.Default)
}

// checkCertificate tries the certificate for mail clients, without which the
// node would not start.
func checkCertificate(files settings.TLSFiles) error {
	if _, err := tls.LoadX509KeyPair(files.Certificate, files.Key); err != nil {
		return rookery.E("read certificate", rookery.KindInvalid,
			fmt.Errorf("%w; set tls.certificate and tls.key to a matching pair of PEM files", err))
	}
	return nil
}

// Create makes the data directory of a new cluster's first node: its CA, its
// identity and the keys that all nodes share. KindExists: it is a node
// already.
func Create(ctx context.Context, cfg settings.Node, disk vfs.FS, now time.Time) error {
	const op = "create cluster"
	d := Dir(cfg.DataDir)
	if err := checkCertificate(cfg.TLS); err != nil {
		return err
	}
	lock, err := d.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := d.refuseExisting(op, disk); err != nil {
		return err
	}
	ca, err := identity.CreateAuthority(now)
	if err != nil {
		return err
	}
	id := Identity{Node: NewNodeID(), Created: true}
	ident, err := issue(ca, id.Node, now)
	if err != nil {
		return err
	}
	if err := durable.MakeDir(d.path("keys")); err != nil {
		return rookery.E(op, rookery.KindDenied, err)
	}
	w, err := firstKeys(ctx, ca, d.TenantKeys(cfg.Keys.Command))
	if err != nil {
		return err
	}
	if err := errors.Join(w.write(ctx, &cfg), ident.Save(d.path(certificateDir))); err != nil {
		return err
	}
	// The last file makes the directory a node.
	return d.SaveIdentity(id)
}

// firstKeys makes the keys that all nodes share. A tenant keyring that is there
// is used: the power may have gone between the files of an earlier attempt.
func firstKeys(ctx context.Context, ca *identity.Authority, tenant KeySource) (w welcome, err error) {
	if w.AuthorityKey, err = ca.KeyPEM(); err != nil {
		return w, err
	}
	if w.SettingsKey, err = keys.GenerateKeyring().Encode(); err != nil {
		return w, err
	}
	ring, err := tenant.Load(ctx)
	if rookery.Is(err, rookery.KindNotFound) {
		ring, err = keys.GenerateKeyring(), nil
	}
	if err != nil {
		return w, err
	}
	w.TenantKeys, err = ring.Encode()
	return w, err
}
