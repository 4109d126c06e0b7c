package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// keyStatus asks every node and every group.
func (n *Node) keyStatus(ctx context.Context) (s adminapi.KeyStatus, err error) {
	s = adminapi.KeyStatus{InUse: n.tenant.ring.Current(), Versions: []adminapi.KeyVersion{}, Nodes: []adminapi.KeyNode{}, Erasures: []adminapi.ErasureStatus{}, Problems: []string{}}
	problem := func(format string, args ...any) { s.Problems = append(s.Problems, fmt.Sprintf(format, args...)) }
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		problem("what follows may be old: %v", err)
	}
	nodes, err := n.keyMembers()
	if err != nil {
		return s, err
	}
	records, err := n.system.TenantKeys()
	if err != nil {
		return s, err
	}
	held, errs := n.tenant.heldBy(ctx, nodes)
	for _, x := range nodes {
		k := adminapi.KeyNode{Name: x.Name, Held: []uint32{}}
		if err := errs[x.ID]; err != nil {
			k.Error = err.Error()
			problem("node %s does not say which keys it holds", x.Name)
		} else {
			h := held[x.ID]
			k.Source, k.InUse, k.Held = h.Source, h.InUse, slices.Sorted(maps.Keys(h.Held))
			judgeHeld(x.Name, h, held[n.id.Node], records, problem)
		}
		s.Nodes = append(s.Nodes, k)
	}
	s.Versions = keyVersions(records, held, n.censusAll(ctx, problem), s.InUse)
	erasures, err := n.system.Erasures()
	for _, e := range erasures {
		s.Erasures = append(s.Erasures, adminapi.ErasureStatus{Account: e.Account, ID: e.Account.String(), Since: time.Unix(0, e.Since).UTC(), Barred: e.Barred})
	}
	if len(erasures) > 0 {
		s.Progress = n.askProgress(ctx)
	}
	return s, err
}

// judgeHeld says what is wrong with a node's ring.
func judgeHeld(name string, h, ours peers.HeldKeys, records []system.TenantKey, problem func(string, ...any)) {
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
func (n *Node) censusAll(ctx context.Context, problem func(string, ...any)) (under map[uint32]int) {
	under = map[uint32]int{}
	groups, err := n.system.Groups()
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
		all.Go(func() { counts[i], errs[i] = n.questions.census.Ask(ctx, g.Group, peers.Nothing{}) })
	}
	all.Wait()
	for i, g := range groups {
		if errs[i] != nil {
			problem("group %d does not say which keys wrap its accounts: %v", g.Group, errs[i])
			continue
		}
		for v, count := range counts[i].Under {
			under[v] += count
		}
	}
	return under
}

func keyVersions(records []system.TenantKey, held map[rookery.NodeID]peers.HeldKeys, under map[uint32]int, use uint32) []adminapi.KeyVersion {
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
	for v, count := range under {
		at(v).Accounts = count
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

// askProgress asks the system leader, who does the work.
func (n *Node) askProgress(ctx context.Context) string {
	to, err := n.groups.Leader(rookery.SystemGroup)
	if err != nil {
		return "the system group has no leader: it waits"
	}
	if to == "" {
		return n.eraseProgress.String()
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	text, err := peers.EraseProgress.Ask(ctx, n.peers, to, peers.Nothing{})
	if err != nil {
		return fmt.Sprintf("the node that does it does not answer: %v", err)
	}
	return string(text)
}

// serveProgress answers other nodes how far the erasure of accounts is.
func (n *Node) serveProgress() {
	peers.EraseProgress.Serve(n.peers, func(context.Context, rookery.NodeID, peers.Nothing) (peers.Text, error) {
		return peers.Text(n.eraseProgress.String()), nil
	})
}

// keyOrders adds the orders of rookery key and rookery account erase.
func (n *Node) keyOrders(t *routes) {
	order := func(fn func(ctx context.Context, in adminapi.KeysBody) (any, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var in adminapi.KeysBody
			if r.Method == http.MethodPost {
				if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
					replyError(w, rookery.E("read order", rookery.KindInvalid, err))
					return
				}
			}
			// An order may take longer than a request to read.
			if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
				replyError(w, rookery.E("read order", rookery.KindUnavailable, err))
				return
			}
			out, err := fn(r.Context(), in)
			if err != nil {
				replyError(w, err)
				return
			}
			reply(w, out)
		}
	}
	t.reads("GET /v1/keys", order(func(ctx context.Context, _ adminapi.KeysBody) (any, error) { return n.keyStatus(ctx) }))
	t.changes("POST /v1/keys/rotate", "key rotate", order(func(ctx context.Context, _ adminapi.KeysBody) (any, error) { return n.rotateTenant(ctx) }))
	t.changes("POST /v1/keys/destroy", "key destroy", order(func(ctx context.Context, in adminapi.KeysBody) (any, error) {
		destroyed, err := n.destroyTenant(ctx, in.Versions...)
		return adminapi.KeysBody{Versions: destroyed}, err
	}))
	t.changes("POST /v1/accounts/erase", "account erase", order(func(ctx context.Context, in adminapi.KeysBody) (any, error) {
		ids, err := n.beginErasure(ctx, in.Accounts)
		out := adminapi.KeysBody{}
		for _, id := range ids {
			out.Accounts = append(out.Accounts, id.String())
		}
		return out, err
	}))
}
