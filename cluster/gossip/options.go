package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"rookery"
)

// Streams carries the reliable half: transport.GossipStreams, or a stand-in.
// Gossip closes it.
type Streams interface {
	// Dial connects to the node at an address; an empty node is whoever is
	// there.
	Dial(ctx context.Context, address string, node rookery.NodeID) (net.Conn, error)
	Accept() (net.Conn, error)
	Close() error
}

// Options of a Gossip.
type Options struct {
	// Cluster is the cluster's id. Messages of others are dropped.
	Cluster string
	// Self describes this node. Self.Node and Self.Address are required.
	Self Member
	// Keys encrypt packets and streams, 32 bytes each; the first encrypts,
	// all decrypt.
	Keys [][]byte
	// Packets sends and receives on the port number of the mTLS port. Gossip
	// closes it.
	Packets net.PacketConn
	Streams Streams
	// Advertise is where others reach Packets and Streams. Default: the
	// address of Packets, which must then be a real one.
	Advertise netip.AddrPort
	// Admit is whether a node may be listened to: registered members only. It
	// must not block. nil admits all that know the key.
	Admit func(rookery.NodeID) bool
	// Ask asks a node whether it lives by another way than packets, for where
	// those are blocked; it is bounded by ctx. nil: packets alone decide.
	Ask func(ctx context.Context, node rookery.NodeID) error
	// Events hears what happens, one event at a time, in order, and may
	// block: gossip goes on, but Close waits for it. nil: nobody hears.
	Events func(Event)
	Logger *slog.Logger // default slog.Default()

	// ProbeInterval is how often nodes are asked whether they live. Default 1 s.
	ProbeInterval time.Duration
	// SuspectAfter is the silence after which a member is suspect. Default
	// twice the ProbeInterval.
	SuspectAfter time.Duration
}

// probeTimeout is the wait for one answer: half of the interval.
func (o *Options) probeTimeout() time.Duration { return o.ProbeInterval / 2 }

func (o *Options) complete() error {
	switch {
	case o.Cluster == "" || len(o.Cluster) > 255:
		return errors.New("the cluster's id needs 1 to 255 bytes")
	case o.Self.Node == "" || o.Self.Address == "":
		return errors.New("this node's id and address are needed")
	case o.Packets == nil || o.Streams == nil:
		return errors.New("packets and streams are needed")
	}
	if _, err := o.Self.encode(false); err != nil {
		return err
	}
	if err := checkKeys(o.Keys); err != nil {
		return err
	}
	if !o.Advertise.IsValid() {
		a, err := netip.ParseAddrPort(o.Packets.LocalAddr().String())
		if err != nil || a.Addr().IsUnspecified() {
			return fmt.Errorf("packets arrive at %s: say under which address others reach it", o.Packets.LocalAddr())
		}
		o.Advertise = a
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.ProbeInterval == 0 {
		o.ProbeInterval = time.Second
	}
	if o.SuspectAfter == 0 {
		o.SuspectAfter = 2 * o.ProbeInterval
	}
	return nil
}

func checkKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return errors.New("at least one key is needed")
	}
	for _, k := range keys {
		if len(k) != 32 {
			return fmt.Errorf("a key has %d bytes, not 32", len(k))
		}
	}
	return nil
}
