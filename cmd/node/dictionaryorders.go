package node

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/body"
	"rookery/storage/dictionary"
	"rookery/storage/mailbox"
)

func (n *Node) dictionaryOrders(t *routes) {
	t.reads("POST /v1/storage/dictionaries", func(w http.ResponseWriter, r *http.Request) { stream(w, r, n.listDictionaries) })
	t.changes("POST /v1/storage/train", "storage dictionary train", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, func(ctx context.Context, _ struct{}, event func(any) error) error {
			t, err := n.dicts.trainNow(ctx)
			if err != nil {
				return err
			}
			return event(t)
		})
	})
}

func (n *Node) listDictionaries(ctx context.Context, _ struct{}, event func(any) error) error {
	use, uncounted, err := n.dictionaryUse(ctx)
	if err != nil {
		return err
	}
	all, err := n.groups.system.Dictionaries()
	if err != nil {
		return err
	}
	generic, _ := dictionary.BuiltIn(dictionary.Generic)
	list := []adminapi.DictionaryStatus{{Source: "none"}, {ID: dictionary.Generic, Source: "built-in", Size: len(generic)}}
	for _, x := range all {
		s := adminapi.DictionaryStatus{ID: x.ID, Source: "site", Size: int(x.Size), Messages: int(x.Messages), Accounts: int(x.Accounts),
			Before: int(x.Before), After: int(x.After), Trained: time.Unix(0, x.Trained).UTC(), Key: x.Key}
		if x.Adopted != 0 {
			s.Adopted = time.Unix(0, x.Adopted).UTC()
		}
		list = append(list, s)
	}
	current := n.dicts.Current().ID()
	for i := range list {
		s := &list[i]
		s.Current = s.ID == current
		u := use[s.ID]
		s.Bodies, s.Received, s.Stored = u.Bodies, u.Received, u.Stored
	}
	return event(adminapi.DictionariesStatus{Dictionaries: list, Uncounted: uncounted})
}

// bodyUse sums the bodies that one dictionary serves.
type bodyUse struct {
	Bodies   int64 `cbor:"1,keyasint"`
	Received int64 `cbor:"2,keyasint"`
	Stored   int64 `cbor:"3,keyasint"`
}

type dictionaryUse map[rookery.DictionaryID]bodyUse

// callDictionaryUse asks a replica how its group's bodies are compressed.
const callDictionaryUse = "dictionary use"

// useWait bounds a replica's walk through its bodies.
const useWait = time.Minute

// dictionaryUse counts the bodies of all groups by dictionary, in replicas here
// or elsewhere.
func (n *Node) dictionaryUse(ctx context.Context) (dictionaryUse, []rookery.GroupID, error) {
	placed, err := n.groups.system.Groups()
	if err != nil {
		return nil, nil, err
	}
	sum, uncounted := dictionaryUse{}, []rookery.GroupID{}
	for _, p := range placed {
		if p.Group == rookery.SystemGroup || p.Void {
			continue
		}
		use, err := n.dictionaryUseOf(ctx, p.Group)
		if err != nil {
			uncounted = append(uncounted, p.Group)
			continue
		}
		for id, u := range use {
			s := sum[id]
			sum[id] = bodyUse{s.Bodies + u.Bodies, s.Received + u.Received, s.Stored + u.Stored}
		}
	}
	return sum, uncounted, ctx.Err()
}

func (n *Node) dictionaryUseOf(ctx context.Context, id rookery.GroupID) (use dictionaryUse, err error) {
	if m := n.groups.machine(id); m != nil {
		return countUse(ctx, m)
	}
	a, err := n.askReplica(ctx, callDictionaryUse, groupCall{Group: id}, useWait)
	if err == nil {
		err = cbor.Unmarshal(a.Data, &use)
	}
	return use, err
}

func (n *Node) dictionaryUseHere(ctx context.Context, q groupCall) (a groupAnswer, err error) {
	m := n.groups.machine(q.Group)
	if m == nil {
		return a, away{n, q.Group}.none()
	}
	use, err := countUse(ctx, m)
	if err == nil {
		a.Data, err = cbor.Marshal(use)
	}
	return a, err
}

// countUse walks through all bodies of a group.
func countUse(ctx context.Context, m *mailbox.Machine) (dictionaryUse, error) {
	use := dictionaryUse{}
	for from := mailbox.BodyID(0); ; {
		page, err := m.Bodies(from, 1000)
		if err := errors.Join(err, ctx.Err()); err != nil || len(page) == 0 {
			return use, err
		}
		for _, b := range page {
			from = b.ID + 1
			var l body.Layout
			if err := l.UnmarshalBinary(b.Layout); err != nil {
				return nil, err
			}
			u := use[l.Dictionary]
			use[l.Dictionary] = bodyUse{u.Bodies + 1, u.Received + b.Size, u.Stored + b.Encoded}
		}
	}
}
