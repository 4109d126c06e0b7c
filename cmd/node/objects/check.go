package objects

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/storage/mailbox"
	"rookery/storage/pack/check"
)

// Check checks group after group, each on a node that has a replica.
func (u *Upkeep) Check(ctx context.Context, o adminapi.CheckOrder, event func(any) error) error {
	if err := o.Validate(); err != nil {
		return err
	}
	ids, err := u.o.Replicas.Placed()
	if err != nil {
		return err
	}
	for i, id := range ids {
		if id < o.From {
			continue
		}
		g := peers.GroupCheck{Group: id, CheckOrder: o}
		if id != o.From {
			g.After = ""
		}
		err := u.checkGroup(ctx, g, func(e adminapi.CheckEvent) error {
			if e.Progress != nil {
				e.Progress.Index, e.Progress.Groups = i, len(ids)
			}
			return event(e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *Upkeep) checkGroup(ctx context.Context, o peers.GroupCheck, event func(adminapi.CheckEvent) error) error {
	if u.o.Replicas.Machine(o.Group) != nil {
		return u.checkHere(ctx, o, event)
	}
	nodes, err := u.o.Replicas.Nodes(o.Group)
	last := rookery.E("check packs", rookery.KindUnavailable, fmt.Errorf("no node holds group %d", o.Group))
	for _, to := range nodes {
		r, err := peers.CheckPacks.Open(ctx, u.o.Peers, to, o)
		if err != nil {
			last = err
			continue
		}
		defer r.Close()
		return relayCheck(r, event)
	}
	return errors.Join(err, last)
}

// relayCheck passes on what another node finds.
func relayCheck(r io.Reader, event func(adminapi.CheckEvent) error) error {
	for dec := json.NewDecoder(r); ; {
		var e adminapi.CheckEvent
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return rookery.E("check packs", 0, err)
		}
		if err := event(e); err != nil {
			return err
		}
	}
}

// serveChecks checks groups here for nodes that have no replica of them.
func (u *Upkeep) serveChecks() {
	peers.CheckPacks.Serve(u.o.Peers, func(ctx context.Context, o peers.GroupCheck, w io.Writer) error {
		if err := o.Validate(); err != nil {
			return err
		}
		b := bufio.NewWriter(w)
		enc := json.NewEncoder(b)
		err := u.checkHere(ctx, o, func(e adminapi.CheckEvent) error {
			return errors.Join(enc.Encode(e), b.Flush())
		})
		return errors.Join(err, b.Flush())
	})
}

// progressEvery is the least time between two reports of progress.
const progressEvery = 250 * time.Millisecond

// checkHere checks a group by the state of its replica here.
func (u *Upkeep) checkHere(ctx context.Context, o peers.GroupCheck, event func(adminapi.CheckEvent) error) error {
	m := u.o.Replicas.Machine(o.Group)
	if m == nil {
		return replicas.NotHere(o.Group)
	}
	sync := func(ctx context.Context) error { return u.o.Replicas.Barrier(ctx, o.Group) }
	if err := sync(ctx); err != nil {
		return err
	}
	c := check.New(check.Options{
		Group: o.Group, State: m, Store: u.Store, Sync: sync, Rate: o.Rate,
		Found: func(f check.Finding) error { return event(adminapi.CheckEvent{Finding: &f}) },
	})
	var last check.Progress
	var reported time.Time
	report := func(done bool) error {
		reported = time.Now()
		return event(adminapi.CheckEvent{Progress: &adminapi.CheckProgress{Group: o.Group, Done: done, Progress: last}})
	}
	pick := func(mailbox.Pack) bool { return o.Sample >= 1 || rand.Float64() < o.Sample }
	err := c.Run(ctx, o.After, o.Sample >= 1, pick, func(p check.Progress) error {
		if last = p; time.Since(reported) < progressEvery {
			return nil
		}
		return report(false)
	})
	if err == nil {
		err = u.repair(ctx, o, m, c, event)
	}
	if err != nil {
		return err
	}
	return report(true)
}
