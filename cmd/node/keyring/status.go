package keyring

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// Status asks every node and every group.
func (s *Service) Status(ctx context.Context) (a adminapi.KeyStatus, err error) {
	a = adminapi.KeyStatus{
		InUse: s.tenant.Keys.Current(), Versions: []adminapi.KeyVersion{}, Nodes: []adminapi.KeyNode{},
		Erasures: []adminapi.ErasureStatus{}, Problems: []string{},
	}
	problem := func(format string, args ...any) { a.Problems = append(a.Problems, fmt.Sprintf(format, args...)) }
	if err := s.replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		problem("what follows may be old: %v", err)
	}
	nodes, err := s.replicas.Members()
	if err != nil {
		return a, err
	}
	records, err := s.system.TenantKeys()
	if err != nil {
		return a, err
	}
	held, errs := s.tenant.heldBy(ctx, nodes)
	for _, x := range nodes {
		k := adminapi.KeyNode{Name: x.Name, Held: []uint32{}}
		if err := errs[x.ID]; err != nil {
			k.Error = err.Error()
			problem("node %s does not say which keys it holds", x.Name)
		} else {
			h := held[x.ID]
			k.Sealed = h.Sealed
			k.Source, k.InUse, k.Held = h.Source, h.InUse, slices.Sorted(maps.Keys(h.Held))
			judgeHeld(x.Name, h, held[s.o.Self], records, problem)
		}
		a.Nodes = append(a.Nodes, k)
	}
	a.Versions = keyVersions(records, held, s.censusAll(ctx, problem), a.InUse)
	erasures, err := s.system.Erasures()
	for _, e := range erasures {
		a.Erasures = append(a.Erasures, adminapi.ErasureStatus{
			Account: e.Account, ID: e.Account.String(), Since: time.Unix(0, e.Since).UTC(), Barred: e.Barred,
		})
	}
	if len(erasures) > 0 {
		a.Progress = s.askProgress(ctx)
	}
	return a, err
}

// judgeHeld says what is wrong with a node's ring.
func judgeHeld(name string, h, ours peers.HeldKeys, records []system.TenantKey, problem func(string, ...any)) {
	if h.Sealed < ours.InUse {
		problem("node %s has its CA or settings key sealed under tenant key %d, not the one in use: it seals them anew within seconds, or its "+
			"log says why not", name, h.Sealed)
	}
	for _, r := range records {
		print, have := h.Held[r.Version]
		switch {
		case r.Destroyed > 0 && have:
			problem("node %s still holds tenant key %d, which is destroyed", name, r.Version)
		case r.Since > 0 && r.Destroyed == 0 && !have:
			problem("node %s lacks tenant key %d", name, r.Version)
		case r.Since > 0 && have && print != r.Fingerprint:
			problem("node %s holds another key as tenant key %d", name, r.Version)
		}
	}
	for v, print := range h.Held {
		if mine, have := ours.Held[v]; have && mine != print {
			problem("node %s and this one hold different keys as tenant key %d", name, v)
		}
	}
}

// censusAll counts over all groups.
func (s *Service) censusAll(ctx context.Context, problem func(string, ...any)) (sum mailbox.KeyCensus) {
	sum.Under, sum.Days = map[uint32]int{}, map[uint32]int{}
	groups, err := s.system.Groups()
	if err != nil {
		problem("groups: %v", err)
	}
	groups = slices.DeleteFunc(groups, func(g system.GroupPlacement) bool {
		return g.Group == rookery.SystemGroup || g.Void || !g.Begun() && g.Founder != ""
	})
	// Side by side: each may have to wait for a leader.
	counts, errs := make([]mailbox.KeyCensus, len(groups)), make([]error, len(groups))
	var all sync.WaitGroup
	for i, g := range groups {
		all.Go(func() { counts[i], errs[i] = s.census.Ask(ctx, g.Group, peers.Nothing{}) })
	}
	all.Wait()
	for i, g := range groups {
		if errs[i] != nil {
			problem("group %d does not say which keys wrap its accounts: %v", g.Group, errs[i])
			continue
		}
		for v, count := range counts[i].Under {
			sum.Under[v] += count
		}
		for v, count := range counts[i].Days {
			sum.Days[v] += count
		}
	}
	return sum
}

func keyVersions(records []system.TenantKey, held map[rookery.NodeID]peers.HeldKeys, under mailbox.KeyCensus,
	use uint32) []adminapi.KeyVersion {
	all := map[uint32]*adminapi.KeyVersion{}
	at := func(v uint32) *adminapi.KeyVersion {
		if all[v] == nil {
			all[v] = &adminapi.KeyVersion{Version: v, State: "old"}
		}
		return all[v]
	}
	for _, h := range held {
		for v, print := range h.Held {
			at(v).Fingerprint = print.String()
		}
	}
	for v, count := range under.Under {
		at(v).Accounts = count
	}
	for v, count := range under.Days {
		at(v).Days = count
	}
	stamp := func(ns int64) *time.Time {
		if ns == 0 {
			return nil
		}
		t := time.Unix(0, ns).UTC()
		return &t
	}
	for _, r := range records {
		k := at(r.Version)
		if k.Since, k.Destroyed = stamp(r.Since), stamp(r.Destroyed); r.Destroyed > 0 {
			k.State = "destroyed"
		}
	}
	out := []adminapi.KeyVersion{}
	for _, v := range slices.Sorted(maps.Keys(all)) {
		switch {
		case v == use:
			all[v].State = "in use"
		case v > use:
			all[v].State = "not in use yet"
		}
		out = append(out, *all[v])
	}
	return out
}
