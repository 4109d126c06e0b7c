package node

import (
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
)

// report is how this node is.
func (n *Node) report() peers.Report {
	r := peers.Report{
		Epoch: n.id.Epoch, Binary: adminapi.BinaryVersion(), Clock: n.deps.Clock().UnixNano(), Up: int64(time.Since(n.lives.Started()).Seconds()),
		SettingsKey: n.rings.Settings.Keys.Current(), Settings: n.settingsTrouble(), Sessions: n.sessions(),
		Disk: n.groups.Log().Stats().Disk.String(), Hostname: n.cfg.Hostname,
		Applied: map[rookery.GroupID]rookery.LogIndex{}, Packing: map[rookery.GroupID]peers.Packing{},
	}
	r.Closed = true
	r.Superseded, r.Returned = n.peers.Superseded(), n.returned()
	r.Trusts, r.IssuedBy = n.rings.AuthorityVersions()
	if e := n.hears.edge.Load(); e != nil {
		r.Closed = !e.Serving()
		if end, ok := e.CertificateEnd(); ok {
			r.Certificate = end.Unix()
		}
	}
	if c := n.hears.couriers.Load(); c != nil {
		r.Outbound, r.Unusual = c.Report(), c.Unusual()
		r.Filling = c.Filling()
		if at := c.Braked(); !at.IsZero() {
			r.Braked = at.Unix()
		}
	}
	if b := n.hears.backups.Load(); b != nil {
		r.Backup = b.Troubles()
	}
	if e := n.hears.elected.Load(); e != nil {
		r.Follows = e.Report()
	}
	stored := n.hears.objects.Load()
	if n.people != nil {
		r.Refused = n.people.Refused()
	}
	if stored != nil {
		r.Place = stored.Place()
	}
	for _, id := range append(n.groups.Here(), rookery.SystemGroup) {
		if g := n.groups.Group(id); g != nil {
			r.Applied[id], _ = g.Machine().Applied()
			if g.IsLeader() {
				r.Leads = append(r.Leads, id)
				if id != rookery.SystemGroup && stored != nil {
					r.Packing[id] = stored.Report(id)
				}
			}
		}
	}
	return r
}

// endsWithin is how long a node that is removed while it runs may take to end.
const endsWithin = time.Minute

// returned are the nodes that tried to come back after their removal was over.
func (n *Node) returned() (back []rookery.NodeID) {
	for id, at := range n.peers.Returned() {
		if x, err := n.system.Node(id); err != nil || at.Sub(time.Unix(0, x.Since)) > endsWithin {
			back = append(back, id)
		}
	}
	return back
}

// settingsTrouble is in what the settings in force differ from the cluster's,
// and why.
func (n *Node) settingsTrouble() string {
	var all []string
	for _, why := range []string{n.settings.Trouble(), n.settings.Overridden()} {
		if why != "" {
			all = append(all, why)
		}
	}
	return strings.Join(all, "; ")
}

// mayRetry reports whether this node is the one to try a directory's refused
// service password again: the leader of the system group is, and the others
// once it was accepted from there.
func (n *Node) mayRetry(directory string) bool {
	leader, err := n.groups.Leader(rookery.SystemGroup)
	if err != nil || leader == "" { // "" is this one
		return err == nil
	}
	r, ok := n.reports.Of(leader)
	return ok && !slices.Contains(r.Refused, directory)
}

// sessions counts the clients' connections.
func (n *Node) sessions() int {
	if e := n.hears.edge.Load(); e != nil {
		return e.Sessions()
	}
	return 0
}
