package datadir

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/settings"
	"rookery/storage/command"
)

// Joining is what a further node enters a cluster with.
type Joining struct {
	// Token was minted by a node of the cluster.
	Token string
	// Addresses are those of nodes to ask.
	Addresses []string
	// FS is under the log and the state; default the disk.
	FS vfs.FS
	// Dial connects to a node; default over TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Clock judges certificates; default time.Now.
	Clock func() time.Time
}

// complete gives what is not set its default.
func (j *Joining) complete() {
	if j.FS == nil {
		j.FS = vfs.Default
	}
	if j.Dial == nil {
		j.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	if j.Clock == nil {
		j.Clock = time.Now
	}
}

// Join makes the data directory of a further node. The node serves once it is
// opened and the cluster has brought its groups to it.
func Join(ctx context.Context, cfg settings.Node, j Joining) error {
	const op = "join cluster"
	j.complete()
	d := Dir(cfg.DataDir)
	// Before the token is used up.
	if err := checkCertificate(cfg.TLS); err != nil {
		return err
	}
	lock, err := d.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := d.refuseExisting(op, j.FS); err != nil {
		return err
	}
	t, err := identity.ParseToken(j.Token)
	if err != nil {
		return err
	}
	address, err := advertised(cfg)
	if err != nil {
		return err
	}
	info, err := cbor.Marshal(Joiner{Name: cfg.Name, Address: address, Zone: cfg.Cluster.Zone, Version: command.Version})
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	id := Identity{Node: NewNodeID()}
	ident, payload, err := transport.Join(ctx, transport.Joining{
		Token: t, Addresses: j.Addresses, Node: id.Node, Info: info, Clock: j.Clock, Dial: j.Dial,
	})
	if err != nil {
		return err
	}
	var w welcome
	if err := cbor.Unmarshal(payload, &w); err != nil {
		return rookery.E(op, rookery.KindDamaged, err)
	}
	if err := errors.Join(w.write(ctx, &cfg), ident.Save(d.path(certificateDir))); err != nil {
		return err
	}
	id.Generation = w.Generation
	return d.SaveIdentity(id)
}

// advertised is the address others will reach the node at, told before it
// listens.
func advertised(cfg settings.Node) (string, error) {
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
