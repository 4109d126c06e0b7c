package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cmd/node/settings"
	"rookery/internal/durable"
	"rookery/storage/body"
)

// create makes the data directory of a new cluster's first node: its CA, its
// identity and the keys that all nodes share. KindExists: it is a node
// already.
func create(ctx context.Context, cfg settings.Node, disk vfs.FS, now time.Time) error {
	const op = "create cluster"
	if _, err := openCertificate(cfg.TLS, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	lock, err := LockDir(cfg.DataDir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := refuseExisting(op, cfg.DataDir, disk); err != nil {
		return err
	}
	ca, err := transport.CreateAuthority(now)
	if err != nil {
		return err
	}
	caKey, err := ca.KeyPEM()
	if err != nil {
		return err
	}
	id := identity{Node: newNodeID(), Created: true}
	ident, err := issue(ca, id.Node, now)
	if err != nil {
		return err
	}
	w := welcome{AuthorityKey: caKey}
	if w.SettingsKey, err = body.GenerateKeyring().Encode(); err != nil {
		return err
	}
	if err := durable.MakeDir(filepath.Join(cfg.DataDir, "keys")); err != nil {
		return rookery.E(op, rookery.KindDenied, err)
	}
	ring, err := keySourceOf(&cfg).load(ctx)
	if rookery.Is(err, rookery.KindNotFound) {
		ring, err = body.GenerateKeyring(), nil
	}
	if err != nil {
		return err
	}
	if w.TenantKeys, err = ring.Encode(); err != nil {
		return err
	}
	payload, err := cbor.Marshal(w)
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	if err := errors.Join(writeWelcome(ctx, cfg, payload), ident.Save(filepath.Join(cfg.DataDir, identityDir))); err != nil {
		return err
	}
	// The last file makes the directory a node.
	return saveIdentity(cfg.DataDir, id)
}

func refuseExisting(op, dir string, disk vfs.FS) error {
	have, err := hasIdentity(dir, disk)
	if err != nil {
		return err
	}
	if have {
		return rookery.E(op, rookery.KindExists, fmt.Errorf("%s holds a node already; choose another data_dir, or remove it if nothing in it is needed", dir))
	}
	return nil
}

func issue(ca *transport.Authority, node rookery.NodeID, now time.Time) (*transport.Identity, error) {
	request, key, err := transport.NewRequest(node)
	if err != nil {
		return nil, err
	}
	cert, err := ca.Issue(request, node, now)
	if err != nil {
		return nil, err
	}
	return transport.NewIdentity(cert, key, ca.CertificatePEM())
}

// joinInfo is what a joiner says of itself.
type joinInfo struct {
	Name    string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
	Zone    string `cbor:"3,keyasint,omitempty"`
	Version uint32 `cbor:"4,keyasint"`
}

// Join makes the data directory of a further node, with a token that a node
// of the cluster minted and the addresses of nodes to ask. The node serves
// once it is opened and the cluster has brought its groups to it. Of deps it
// takes the file system, the network and the clock.
func Join(ctx context.Context, cfg settings.Node, deps Deps, token string, addresses []string) error {
	const op = "join cluster"
	deps.complete()
	// Before the token is used up.
	if _, err := openCertificate(cfg.TLS, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	lock, err := LockDir(cfg.DataDir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := refuseExisting(op, cfg.DataDir, deps.FS); err != nil {
		return err
	}
	t, err := transport.ParseToken(token)
	if err != nil {
		return err
	}
	address, err := advertisedBefore(cfg)
	if err != nil {
		return err
	}
	info, err := cbor.Marshal(joinInfo{Name: cfg.Name, Address: address, Zone: cfg.Cluster.Zone, Version: CommandVersion})
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	id := identity{Node: newNodeID()}
	ident, payload, err := transport.Join(ctx, transport.Joining{
		Token: t, Addresses: addresses, Node: id.Node, Info: info, Clock: deps.Clock, Dial: dialTCP(deps.Network),
	})
	if err != nil {
		return err
	}
	if err := errors.Join(writeWelcome(ctx, cfg, payload), ident.Save(filepath.Join(cfg.DataDir, identityDir))); err != nil {
		return err
	}
	var w welcome
	if err := cbor.Unmarshal(payload, &w); err != nil {
		return rookery.E(op, rookery.KindDamaged, err)
	}
	id.Generation = w.Generation
	return saveIdentity(cfg.DataDir, id)
}

// advertisedBefore is the address others will reach the node at, told before
// it listens.
func advertisedBefore(cfg settings.Node) (string, error) {
	if cfg.Cluster.Advertise != "" {
		return cfg.Cluster.Advertise, nil
	}
	_, port, err := net.SplitHostPort(cfg.Cluster.Listen)
	if err != nil || port == "0" {
		return "", rookery.E("join cluster", rookery.KindInvalid,
			fmt.Errorf("cluster.listen %q names no port that others could reach; set cluster.advertise", cfg.Cluster.Listen))
	}
	return net.JoinHostPort(cfg.Hostname, port), nil
}

// RecoveryKit is what brings a cluster's data back to life elsewhere. Whoever
// has it can read all mail and admit nodes.
type RecoveryKit struct {
	Cluster      string    `json:"cluster"`
	Made         time.Time `json:"made"`
	Authority    string    `json:"ca_pem"`
	AuthorityKey string    `json:"ca_key_pem"`
	TenantKeys   []byte    `json:"tenant_keys"`
	SettingsKey  []byte    `json:"settings_key"`
}

// WriteRecoveryKit writes the kit of a node's cluster to a file of mode 0600.
func WriteRecoveryKit(dataDir, path string, now time.Time) error {
	const op = "write recovery kit"
	ident, err := transport.LoadIdentity(filepath.Join(dataDir, identityDir))
	if err != nil {
		return err
	}
	ring, err := os.ReadFile(filepath.Join(dataDir, tenantKeys)) // sealed where a command seals it
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	payload, err := readWelcome(dataDir, ring, nil)
	if err != nil {
		return err
	}
	var w welcome
	if err := cbor.Unmarshal(payload, &w); err != nil {
		return rookery.E(op, rookery.KindDamaged, err)
	}
	b, err := json.MarshalIndent(RecoveryKit{
		Cluster: ident.Cluster, Made: now.UTC(), Authority: string(ident.AuthoritiesPEM()), AuthorityKey: string(w.AuthorityKey),
		TenantKeys: w.TenantKeys, SettingsKey: w.SettingsKey,
	}, "", "  ")
	if err == nil {
		err = durable.WriteFile(path, append(b, '\n'), 0o600)
	}
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	return nil
}
