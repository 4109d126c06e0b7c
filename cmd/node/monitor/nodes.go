package monitor

import (
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/internal/plural"
	"rookery/storage/command"
	"rookery/storage/system"
)

// nodeStatus is a member with what is wrong with it.
func (p *Parts) nodeStatus(x system.Node, reports map[rookery.NodeID]peers.Report, problem func(string, ...any)) adminapi.NodeStatus {
	life := p.Lives.Of(x.ID)
	r, answers := reports[x.ID]
	ns := adminapi.NodeStatus{
		Node: string(x.ID), Name: x.Name, Address: x.Address, Zone: x.Zone, State: x.State.String(), Version: x.Version,
		Alive: life.Alive, Disk: r.Disk, Binary: r.Binary, Leads: len(r.Leads), Holds: len(p.holds(x.ID)), Sessions: r.Sessions, Up: r.Up,
	}
	if r.Settings != "" {
		problem("node %s: %s", x.Name, r.Settings)
	}
	for _, t := range r.Outbound {
		problem("node %s: mail to other systems waits for %s; no message is lost: mend the route or the setting, then rookery queue retry -all",
			x.Name, t)
	}
	if r.Braked > 0 {
		problem("node %s: so many messages to other systems failed until %s that they are held, and do not go back to their senders: find "+
			"out why with rookery queue list -reason brake; then rookery queue release -reason brake tries them once more, and bounce "+
			"-reason brake sends them back", x.Name, time.Unix(r.Braked, 0).UTC().Format(time.RFC3339))
	}
	for _, id := range r.Unusual {
		problem("account %s sends far more to other systems than is usual for it, and what it sends there is held; look at it: "+
			"rookery queue list -reason unusual; then rookery queue release -sender ADDRESS, or cancel", id)
	}
	for _, t := range r.Backup {
		problem("node %s: backup: %s; see rookery backup status", x.Name, t)
	}
	filling(r.Filling, problem)
	if answers {
		clientsKeptOut(x.Name, &r, time.Now(), problem)
	}
	ns.Movable, ns.Serves = p.spare(x.ID), p.serves(x.ID)
	switch {
	case !life.Alive:
		since := "since before this node started"
		if !life.Since.IsZero() {
			at := life.Since.UTC().Truncate(time.Second)
			ns.Since, since = &at, "since "+at.Format(time.RFC3339)
		}
		if ns.Stopped = life.Left; life.Left {
			problem("node %s is stopped %s", x.Name, since)
		} else {
			problem("node %s does not answer at %s %s", x.Name, x.Address, since)
		}
		if ns.Holds > 0 && !ns.Movable {
			problem("node %s cannot be replaced: no other node is free to take its %s; start it again, or join another node",
				x.Name, plural.Of(ns.Holds, "group"))
		}
	case !answers:
		problem("node %s lives but answers no calls at %s", x.Name, x.Address)
	case r.Disk == "hard":
		problem("node %s is short of disk space (hard limit): its mail groups are stopped on it until there is room", x.Name)
	case r.Disk != "ok":
		problem("node %s is short of disk space (%s limit)", x.Name, r.Disk)
	}
	if life.Alive && life.Mute && p.Lives.NoPackets() == nil {
		problem("UDP to node %s at %s is blocked: open the UDP port of the same number; its failure is noticed over TCP meanwhile",
			x.Name, x.Address)
	}
	return ns
}

// holds are the groups that a node has a replica of or shall have one.
func (p *Parts) holds(id rookery.NodeID) (held []rookery.GroupID) {
	groups, err := p.Replicas.System().Groups()
	if err != nil {
		return nil
	}
	for _, g := range groups {
		if slices.Contains(g.Members, id) || slices.Contains(g.Voters, id) {
			held = append(held, g.Group)
		}
	}
	return held
}

// serves counts the mail groups in which a node's vote is confirmed.
func (p *Parts) serves(id rookery.NodeID) (count int) {
	groups, err := p.Replicas.System().Groups()
	if err != nil {
		return 0
	}
	for _, g := range groups {
		if g.Group != rookery.SystemGroup && g.Votes(id) {
			count++
		}
	}
	return count
}

// spare reports whether another node is free to take over some group that a
// node holds.
func (p *Parts) spare(from rookery.NodeID) bool {
	nodes, err := p.Replicas.System().Nodes()
	groups, gerr := p.Replicas.System().Groups()
	if err != nil || gerr != nil {
		return false
	}
	for _, g := range groups {
		if !slices.Contains(g.Members, from) && !slices.Contains(g.Voters, from) {
			continue
		}
		if !slices.Contains(g.Members, from) || slices.ContainsFunc(nodes, func(x system.Node) bool {
			return x.State == command.NodeActive && !slices.Contains(g.Members, x.ID) && p.Lives.Alive(x.ID)
		}) {
			return true
		}
	}
	return false
}
