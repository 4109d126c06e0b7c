package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/propose"
)

// holdWait bounds the wait for one group.
const holdWait = 5 * time.Second

// placeHold records a hold for the cluster and brings it to every group.
func (n *Node) placeHold(ctx context.Context, o adminapi.HoldOrder) (a adminapi.HoldAnswer, err error) {
	now, err := n.agreedTime() // a hold from a time to come would keep nothing yet
	if err != nil {
		return a, err
	}
	if o.From.IsZero() {
		o.From = now
	}
	h := command.Hold{Kind: command.HoldOperator, Name: o.Name, Reason: o.Reason, From: max(0, o.From.UnixNano())}
	if !o.To.IsZero() {
		h.To = o.To.UnixNano()
	}
	if _, err := n.groups.ProposeSystem(ctx, &command.PlaceHold{Hold: h, Time: now.UnixNano()}); err != nil {
		return a, err
	}
	n.deps.Logger.Info("a hold was placed", "name", o.Name, "reason", o.Reason)
	return n.everyGroup(ctx, &h)
}

// liftHold takes a hold back.
func (n *Node) liftHold(ctx context.Context, name string) (a adminapi.HoldAnswer, err error) {
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return a, err
	}
	holds, err := n.system.Holds()
	if err != nil {
		return a, err
	}
	known := false
	for _, h := range holds {
		known = known || h.Name == name
	}
	if !known {
		return a, rookery.E("release hold", rookery.KindNotFound, fmt.Errorf("there is no hold %q; see: rookery storage hold list", name))
	}
	if _, err := n.groups.ProposeSystem(ctx, &command.LiftHold{Name: name}); err != nil {
		return a, err
	}
	n.deps.Logger.Info("a hold was released", "name", name)
	return n.everyGroup(ctx, &command.Release{Kind: command.HoldOperator, Name: name})
}

// everyGroup proposes a command to each mail group and says which took it.
func (n *Node) everyGroup(ctx context.Context, c command.Command) (a adminapi.HoldAnswer, err error) {
	ids, err := n.groups.Placed()
	if err != nil {
		return a, err
	}
	a.Groups, a.Pending = []rookery.GroupID{}, []rookery.GroupID{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			wait, cancel := context.WithTimeout(ctx, holdWait)
			defer cancel()
			_, _, err := propose.Command(wait, n.groups, id, c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				n.deps.Logger.Warn("a group did not take a hold or its release yet", "group", id, "error", err)
				a.Pending = append(a.Pending, id)
				return
			}
			a.Groups = append(a.Groups, id)
		})
	}
	all.Wait()
	slices.Sort(a.Groups)
	slices.Sort(a.Pending)
	return a, nil
}

func (n *Node) holdsHere(ctx context.Context, m *mailbox.Machine, id rookery.GroupID, _ peers.Nothing) ([]mailbox.Hold, error) {
	if err := n.groups.Barrier(ctx, id); err != nil {
		return nil, err
	}
	return m.Holds()
}

func (n *Node) holdsOf(ctx context.Context, id rookery.GroupID) ([]mailbox.Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, holdWait)
	defer cancel()
	return n.questions.holds.Ask(ctx, id, peers.Nothing{})
}

// listHolds asks every group.
func (n *Node) listHolds(ctx context.Context) (l adminapi.HoldList, err error) {
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return l, err
	}
	operators, err := n.system.Holds()
	if err != nil {
		return l, err
	}
	ids, err := n.groups.Placed()
	if err != nil {
		return l, err
	}
	l.Unasked = []rookery.GroupID{}
	found := map[string]*adminapi.HoldStatus{}
	note := func(kind command.HoldKind, h mailbox.Hold) *adminapi.HoldStatus {
		key := fmt.Sprintf("%d %s", kind, h.Name)
		s := found[key]
		if s == nil {
			s = &adminapi.HoldStatus{Kind: kind.String(), Name: h.Name, From: time.Unix(0, h.From).UTC(), Reason: h.Reason, Placed: time.Unix(0, h.Placed).UTC(),
				Groups: []rookery.GroupID{}, Missing: []rookery.GroupID{}}
			if h.To > 0 {
				to := time.Unix(0, h.To).UTC()
				s.To = &to
			}
			found[key] = s
		}
		return s
	}
	for _, h := range operators {
		note(command.HoldOperator, mailbox.Hold{Name: h.Name, From: h.From, To: h.To, Placed: h.Placed, Reason: h.Reason})
	}
	for _, id := range ids {
		holds, err := n.holdsOf(ctx, id)
		if err != nil {
			l.Unasked = append(l.Unasked, id)
			continue
		}
		for _, h := range holds {
			s := note(h.Kind, h)
			s.Groups = append(s.Groups, id)
		}
		for _, h := range operators {
			if s := note(command.HoldOperator, mailbox.Hold{Name: h.Name}); !slices.Contains(s.Groups, id) {
				s.Missing = append(s.Missing, id)
			}
		}
	}
	l.Holds = make([]adminapi.HoldStatus, 0, len(found))
	for _, s := range found {
		l.Holds = append(l.Holds, *s)
	}
	slices.SortFunc(l.Holds, func(a, b adminapi.HoldStatus) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return l, nil
}

// holdOrders adds rookery storage hold to the administration socket.
func (n *Node) holdOrders(t *routes) {
	t.reads("GET /v1/storage/holds", func(w http.ResponseWriter, r *http.Request) {
		l, err := n.listHolds(r.Context())
		if err != nil {
			replyError(w, err)
			return
		}
		reply(w, l)
	})
	order := func(do func(context.Context, adminapi.HoldOrder) (adminapi.HoldAnswer, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var o adminapi.HoldOrder
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&o); err != nil || o.Name == "" {
				replyError(w, rookery.E("read order", rookery.KindInvalid, errors.Join(errors.New("a hold needs a name"), err)))
				return
			}
			a, err := do(r.Context(), o)
			if err != nil {
				replyError(w, err)
				return
			}
			reply(w, a)
		}
	}
	t.changes("POST /v1/storage/hold", "storage hold add", order(n.placeHold))
	t.changes("POST /v1/storage/release", "storage hold release", order(func(ctx context.Context, o adminapi.HoldOrder) (adminapi.HoldAnswer, error) {
		return n.liftHold(ctx, o.Name)
	}))
}
