package node

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// RebuildOrder asks for the index of all packs.
type RebuildOrder struct {
	// Repair packs bodies anew that are not where the state says and were
	// found elsewhere.
	Repair bool `json:"repair,omitempty"`
}

// IndexedPack is a pack of the rebuilt index.
type IndexedPack struct {
	Group rookery.GroupID `json:"group"`
	Pack  command.PackID  `json:"pack"`
	Size  int64           `json:"size"`
	// Salvaged says that its own index was damaged and the bodies were found
	// by reading the whole object; Error is why nothing could be read.
	Salvaged bool          `json:"salvaged,omitempty"`
	Error    string        `json:"error,omitempty"`
	Bodies   []IndexedBody `json:"bodies"`
}

// IndexedBody is a body of a pack: Off and Len are bytes in the object, Layout
// is how it is encoded (base64).
type IndexedBody struct {
	Body   command.BodyID `json:"body"`
	Off    int64          `json:"off"`
	Len    int64          `json:"len"`
	SHA256 string         `json:"sha256"`
	Layout []byte         `json:"layout"`
}

func indexed(r pack.Rebuilt) *IndexedPack {
	x := &IndexedPack{Group: r.Group, Pack: r.ID, Size: r.Size, Salvaged: r.Salvaged, Bodies: make([]IndexedBody, len(r.Entries))}
	if r.Err != nil {
		x.Error = r.Err.Error()
	}
	for i, e := range r.Entries {
		x.Bodies[i] = IndexedBody{e.Body, e.Off, e.Len, hex.EncodeToString(e.SHA256[:]), e.Layout}
	}
	return x
}

// RebuildEvent is what a rebuild tells while it runs; one of its fields is set.
type RebuildEvent struct {
	CheckEvent
	Pack *IndexedPack `json:"pack,omitempty"`
	// Compared is a group whose state was compared with what was found,
	// NotHere one that has no replica on the node asked.
	Compared *ComparedGroup  `json:"compared,omitempty"`
	NotHere  rookery.GroupID `json:"not_here,omitempty"`
}

// ComparedGroup is what comparing a group's state with the packs gave.
type ComparedGroup struct {
	Group rookery.GroupID `json:"group"`
	// Sought bodies are not where the state says, of them Found in some pack.
	Sought int `json:"sought"`
	Found  int `json:"found"`
}

// RebuildIndex finds every body in a store that no node needs to serve: the
// road back after a disaster.
func RebuildIndex(ctx context.Context, set *Store, data string, logger *slog.Logger, fn func(*IndexedPack) error) error {
	s, err := openStore(set, data, logger)
	if err != nil {
		return err
	}
	if c, ok := s.(io.Closer); ok {
		defer c.Close()
	}
	return pack.Rebuild(ctx, s, func(r pack.Rebuilt) error { return fn(indexed(r)) })
}

// rebuilding is a group's part of a rebuild.
type rebuilding struct {
	m      *mailbox.Machine
	c      *pack.Checker
	sought map[command.BodyID]bool
}

// rebuildStorage compares the state of the groups here with their packs'
// indexes, then goes through all packs for what is sought.
func (n *Node) rebuildStorage(ctx context.Context, o RebuildOrder, event func(any) error) error {
	tell := func(e CheckEvent) error { return event(RebuildEvent{CheckEvent: e}) }
	ids, err := n.placedMail()
	if err != nil {
		return err
	}
	groups := map[rookery.GroupID]*rebuilding{}
	for _, id := range ids {
		if groups[id], err = n.seek(ctx, id, tell); err != nil {
			return err
		}
		if groups[id] == nil {
			delete(groups, id)
			if err := event(RebuildEvent{NotHere: id}); err != nil {
				return err
			}
		}
	}
	if err := pack.Rebuild(ctx, n.bodies.store, func(r pack.Rebuilt) error {
		if g := groups[r.Group]; g != nil {
			g.c.Places(r, g.sought)
		}
		return event(RebuildEvent{Pack: indexed(r)})
	}); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		g := groups[id]
		x := ComparedGroup{Group: id, Sought: len(g.sought)}
		for b := range g.sought {
			if _, ok := g.c.Elsewhere(b); ok {
				x.Found++
			}
		}
		if err := event(RebuildEvent{Compared: &x}); err != nil {
			return err
		}
		if err := n.mend(ctx, groupOrder{id, CheckOrder{Repair: o.Repair}}, g.m, g.c, tell); err != nil {
			return err
		}
	}
	return nil
}

// seek finds the bodies of a group that are not where its state says, nil where
// the group has no replica here.
func (n *Node) seek(ctx context.Context, id rookery.GroupID, tell func(CheckEvent) error) (*rebuilding, error) {
	m := n.groups.machine(id)
	if m == nil {
		return nil, nil
	}
	sync := func(ctx context.Context) error { return n.road.Barrier(ctx, id) }
	if err := sync(ctx); err != nil {
		return nil, err
	}
	g := &rebuilding{m: m, sought: map[command.BodyID]bool{}}
	g.c = pack.NewChecker(pack.CheckOptions{
		Group: id, State: m, Store: n.bodies.store, Sync: sync, IndexOnly: true,
		Found: func(f pack.Finding) error { return tell(CheckEvent{Finding: &f}) },
	})
	var told time.Time
	err := g.c.Run(ctx, "", true, func(mailbox.Pack) bool { return true }, func(p pack.Progress) error {
		if time.Since(told) < progressEvery {
			return nil
		}
		told = time.Now()
		return tell(CheckEvent{Progress: &CheckProgress{Group: id, Progress: p}})
	})
	for _, b := range g.c.Needed() {
		g.sought[b] = true
	}
	if err != nil {
		return nil, rookery.E("rebuild index", 0, err)
	}
	return g, nil
}
