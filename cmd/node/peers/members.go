package peers

import (
	"context"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
)

// Learn replaces what is known of the members and keeps it for the next start.
// Who was removed is cut off.
func (p *Peers) Learn(members map[rookery.NodeID]Member) {
	p.mu.Lock()
	gone := []rookery.NodeID{}
	for id, k := range members {
		if k.Removed && !p.known[id].Removed {
			gone = append(gone, id)
		}
		if p.known[id].Address != k.Address {
			delete(p.heard, id) // the record is news
		}
		p.known[id] = k
	}
	seeds := p.otherSeeds()
	p.mu.Unlock()
	for _, id := range gone {
		p.transport.CutOff(id)
	}
	if err := p.dir.SaveSeeds(seeds); err != nil {
		p.logger.Warn("the addresses of other nodes could not be kept", "error", err)
	}
}

// otherSeeds are all members but this node; p.mu is held.
func (p *Peers) otherSeeds() []datadir.Seed {
	seeds := make([]datadir.Seed, 0, len(p.known))
	for id, k := range p.known {
		if id != p.self && !k.Removed {
			seeds = append(seeds, datadir.Seed{Node: id, Address: k.Address, Key: k.Key[:]})
		}
	}
	return seeds
}

// Seeds are the nodes a joiner is told of: all members, this one included.
func (p *Peers) Seeds() []datadir.Seed {
	p.mu.RLock()
	defer p.mu.RUnlock()
	own := p.creds.Current().KeyHash()
	return append([]datadir.Seed{{Node: p.self, Address: p.address, Key: own[:]}}, p.otherSeeds()...)
}

// Others are the members besides this node. Those without a replica of a group
// say so when asked for it.
func (p *Peers) Others() (ids []rookery.NodeID) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for id, k := range p.known {
		if id != p.self && !k.Removed {
			ids = append(ids, id)
		}
	}
	return ids
}

// A node whose copy of the registry is older than the admission of another
// refuses that other, and learns of it from the log, which a leader that it
// refuses cannot bring. So it asks the members that it does know.

const (
	// meetEvery bounds how often unknown nodes make a node ask.
	meetEvery = time.Second
	// askWait bounds one node's answer to a small question.
	askWait = 3 * time.Second
)

// metUnknown is told of a node that was refused for not being known.
func (p *Peers) metUnknown(rookery.NodeID) {
	select {
	case p.unknown <- struct{}{}:
	default:
	}
}

// Meet asks for the members, whenever one that is not known was refused, until
// ctx ends.
func (p *Peers) Meet(ctx context.Context) error {
	for {
		select {
		case <-p.unknown:
		case <-ctx.Done():
			return nil
		}
		for _, id := range p.Others() {
			asking, cancel := context.WithTimeout(ctx, askWait)
			seeds, err := Members.Ask(asking, p, id, Nothing{})
			cancel()
			if err != nil {
				p.logger.Debug("a member does not say who else is one", "node", id, "error", err)
				continue
			}
			p.introduce(seeds)
		}
		select {
		case <-time.After(meetEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// introduce takes in members that are not known yet. What is known stays: the
// registry alone changes it.
func (p *Peers) introduce(seeds []datadir.Seed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range seeds {
		if _, known := p.known[s.Node]; !known && s.Node != p.self {
			p.known[s.Node] = memberOf(s)
		}
	}
}
