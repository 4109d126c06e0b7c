package datadir

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cluster/transport/identity"
	"rookery/storage/command"
)

// Report is what one stopped node's disk holds, for the decision about a
// recovery.
type Report struct {
	Cluster    string         `json:"cluster"`
	Node       rookery.NodeID `json:"node"`
	Name       string         `json:"name"`
	Generation string         `json:"generation"`
	Epoch      uint64         `json:"epoch"`
	Version    uint32         `json:"command_version"`
	// Key is the hash of the node's public key.
	Key []byte `json:"key"`
	// Nodes are the members by the registry on this disk, Groups all groups.
	Nodes  []ReportedNode  `json:"nodes"`
	Groups []ReportedGroup `json:"groups"`
}

// ReportedNode is a member of the cluster.
type ReportedNode struct {
	Node    rookery.NodeID `json:"node"`
	Name    string         `json:"name"`
	Address string         `json:"address"`
}

// ReportedGroup is one group: placed somewhere, and perhaps here.
type ReportedGroup struct {
	Group rookery.GroupID `json:"group"`
	// Here is whether this disk holds a copy; Damaged is why it cannot be used.
	Here    bool   `json:"here"`
	Damaged string `json:"damaged,omitempty"`
	// Unbegun is that by this disk it waits for its founder and is empty.
	Unbegun bool `json:"unbegun,omitempty"`
	consensus.Position
	// Time is group time of the state: the last command known to be committed.
	Time time.Time `json:"time,omitzero"`
}

// Inspect reads a stopped node's disk. It writes nothing but what any start
// writes: the last frame of the log as it is.
func (d Dir) Inspect(logger *slog.Logger) (Report, error) { return d.InspectOn(vfs.Default, logger) }

// InspectOn is Inspect where the log and the state lie on another file system.
func (d Dir) InspectOn(disk vfs.FS, logger *slog.Logger) (r Report, err error) {
	o, err := d.openOffline(disk, logger)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	return o.report()
}

func (o *offline) report() (r Report, err error) {
	ident, err := identity.LoadIdentity(o.dir.path(certificateDir))
	if err != nil {
		return r, err
	}
	key := ident.KeyHash()
	r = Report{Cluster: ident.Cluster, Node: o.id.Node, Generation: o.id.Generation, Epoch: o.id.Epoch, Version: command.Version, Key: key[:]}
	nodes, err := o.system.Nodes()
	if err != nil {
		return r, err
	}
	for _, n := range nodes {
		if n.ID == r.Node {
			r.Name = n.Name
		}
		if n.Member() {
			r.Nodes = append(r.Nodes, ReportedNode{n.ID, n.Name, n.Address})
		}
	}
	unbegun := map[rookery.GroupID]bool{}
	ids := map[rookery.GroupID]bool{rookery.SystemGroup: true}
	placed, err := o.system.Groups()
	if err != nil {
		return r, err
	}
	for id := range o.log.Stats().Groups {
		ids[id] = true
	}
	for _, p := range placed {
		ids[p.Group], unbegun[p.Group] = true, p.Awaits(p.Founder)
		if p.Void {
			delete(ids, p.Group)
		}
	}
	for id := range ids {
		g := ReportedGroup{Group: id, Unbegun: unbegun[id]}
		if err := o.inspect(&g); err != nil {
			g.Damaged = err.Error()
		}
		r.Groups = append(r.Groups, g)
	}
	slices.SortFunc(r.Groups, func(a, b ReportedGroup) int { return cmp.Compare(a.Group, b.Group) })
	return r, nil
}

func (o *offline) inspect(g *ReportedGroup) error {
	sg, err := o.group(g.Group)
	if err != nil {
		return err
	}
	if _, known := o.log.Stats().Groups[g.Group]; !known {
		if applied, _ := sg.Applied(); applied == 0 {
			return nil // never had a replica here
		}
	}
	lg, err := o.log.Group(g.Group)
	if err != nil {
		return err
	}
	if t, _, err := consensus.ReadTrace(lg); err != nil {
		return err
	} else if t.Erasing {
		return rookery.E("inspect group", rookery.KindNotFound, errors.New("it has left this node, and what was here is half erased"))
	}
	if g.Position, err = consensus.Inspect(lg, sg); err != nil {
		return err
	}
	g.Here = g.Last > 0
	if nanos := sg.Time(); nanos > 0 {
		g.Time = time.Unix(0, nanos).UTC()
	}
	return nil
}
