package keyring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/internal/plural"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// Destroy destroys tenant key versions below the one in use, all where
// none is named, on every node. It fails closed: a node that does not answer, a
// group without a leader, or an account that a version still wraps, and nothing
// is destroyed. Repeating it is right after every error.
func (s *Service) Destroy(ctx context.Context, versions ...uint32) (destroyed []uint32, err error) {
	const op = "destroy tenant key"
	if err := s.bringUpToNow(ctx); err != nil {
		return nil, err
	}
	nodes, err := s.replicas.Members()
	if err != nil {
		return nil, err
	}
	held, errs := s.syncTenant(ctx, nodes)
	if err := namely(nodes, errs); err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable,
			fmt.Errorf("a key is destroyed on every node or on none, and these do not answer: %w; start them, or take them off with "+
				"rookery remove", err))
	}
	use := s.tenant.Keys.Current()
	if len(versions) == 0 {
		versions = below(held, use)
	}
	if len(versions) == 0 {
		return []uint32{}, nil
	}
	if top := slices.Max(versions); top >= use {
		return nil, rookery.E(op, rookery.KindConflict, fmt.Errorf("version %d is in use: run rookery key rotate first", top))
	}
	if err := filesAbove(nodes, held, slices.Max(versions)); err != nil {
		return nil, err
	}
	if err := s.nothingUnder(ctx, slices.Max(versions)); err != nil {
		return nil, err
	}
	for _, v := range versions {
		if _, err := s.replicas.ProposeSystem(ctx, &command.SetTenantKey{Version: v, Destroyed: true}); err != nil {
			return nil, err
		}
	}
	s.o.Logger.Info("tenant keys are destroyed", "versions", versions)
	held, errs = s.syncTenant(ctx, nodes)
	for id, h := range held {
		for _, v := range versions {
			if _, still := h.Held[v]; still {
				errs[id] = fmt.Errorf("it still holds version %d", v)
			}
		}
	}
	if err := namely(nodes, errs); err != nil {
		return versions, rookery.E(op, rookery.KindUnavailable,
			fmt.Errorf("the versions %v are given up, but not yet gone from: %w; they go when these nodes are back. Run it again "+
				"to be sure", versions, err))
	}
	return versions, nil
}

// filesAbove makes sure that no node has its CA or settings key sealed under a
// version up to top, or in the clear.
func filesAbove(nodes []system.Node, held map[rookery.NodeID]peers.HeldKeys, top uint32) error {
	for _, x := range nodes {
		if under := held[x.ID].Sealed; under <= top {
			return rookery.E("destroy tenant key", rookery.KindConflict,
				fmt.Errorf("node %s still has its CA or settings key sealed under version %d: it seals them anew by itself; its log says what "+
					"keeps it from that", x.Name, under))
		}
	}
	return nil
}

// below are the versions below one that some node holds, rising.
func below(held map[rookery.NodeID]peers.HeldKeys, use uint32) []uint32 {
	seen := map[uint32]bool{}
	for _, h := range held {
		for v := range h.Held {
			if v < use {
				seen[v] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// namely is the errors of nodes with their names, nil where there are none.
func namely(nodes []system.Node, errs map[rookery.NodeID]error) error {
	var all []string
	for _, x := range nodes {
		if err := errs[x.ID]; err != nil {
			all = append(all, fmt.Sprintf("%s (%v)", x.Name, err))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return errors.New(strings.Join(all, ", "))
}

// nothingUnder makes sure that no group has, or ever takes again, an account
// key wrapped under a version up to top.
func (s *Service) nothingUnder(ctx context.Context, top uint32) error {
	const op = "destroy tenant key"
	groups, err := s.system.Groups()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.Group == rookery.SystemGroup || g.Void {
			continue
		}
		// The floor comes first: what it lets through, the count sees.
		if err := s.replicas.Commit(ctx, g.Group, &command.KeyFloor{Version: top + 1}); err != nil {
			return err
		}
		c, err := s.census.Ask(ctx, g.Group, peers.Nothing{})
		if err != nil {
			return err
		}
		if left := upTo(&c, top); left > 0 {
			return rookery.E(op, rookery.KindConflict,
				fmt.Errorf("%s of accounts and days in group %d %s still wrapped under version %d or older: its leader rewraps them; how far it is "+
					"shows in rookery key status", plural.Of(left, "key"), g.Group, plural.Verb(left, "is", "are"), top))
		}
	}
	return nil
}

// upTo counts what is wrapped under a version and older ones.
func upTo(c *mailbox.KeyCensus, version uint32) (n int) {
	for _, under := range []map[uint32]int{c.Under, c.Days} {
		for v, count := range under {
			if v <= version {
				n += count
			}
		}
	}
	return n
}

// censusHere counts a group's accounts by tenant key version, as of now.
func (s *Service) censusHere(ctx context.Context, m *mailbox.Machine, id rookery.GroupID,
	_ peers.Nothing) (c mailbox.KeyCensus, err error) {
	if err := s.replicas.Barrier(ctx, id); err != nil {
		return c, err
	}
	if c, err = m.KeyCensus(); err == nil && upTo(&c, s.tenant.Keys.Current()-1) > 0 {
		s.rewrapSoon(id)
	}
	return c, err
}
