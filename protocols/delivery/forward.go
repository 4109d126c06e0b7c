package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/outbound/srs"
)

// Forwarding is where mail for a mailbox goes besides, or instead.
type Forwarding struct {
	To []rookery.Address
	// Mark names the mailbox in a Delivered-To field, and tells nobody which it is:
	// all recipients of a message get the same header.
	Mark string
}

// maxForwards bounds the mailboxes and addresses that one recipient leads to.
const maxForwards = 50

// ErrForwardLoop is in the chain of the KindInvalid of a recipient whose forwards
// lead to nobody: in a circle, or to addresses of ours that nobody has.
var ErrForwardLoop = errors.New("the forwards of the mailbox lead to nobody")

// Expand follows the forwards of a route: the routes that a message takes in the
// end, each once, with By where they are not the recipient's own. A forward to an
// address of ours that nobody has is passed over where another remains. Errors:
// KindInvalid with ErrForwardLoop; KindLimit for too many; those of Route.
func Expand(ctx context.Context, r interface {
	Route(context.Context, rookery.Address) (Route, error)
}, first Route) (all []Route, err error) {
	seen := map[string]bool{}
	todo := []Route{first}
	most := maxForwards
	if first.List != nil {
		most += MaxListed
	}
	for len(todo) > 0 {
		x := todo[0]
		todo = todo[1:]
		if seen[x.Address.Key()] {
			continue
		}
		if seen[x.Address.Key()] = true; len(seen) > most {
			return nil, rookery.E("forward", rookery.KindLimit, fmt.Errorf("a recipient leads to more than %d addresses", most))
		}
		onward := x.Forward
		if x.Forward = nil; x.To != Forward {
			all = append(all, x)
		}
		if onward == nil {
			continue
		}
		for _, to := range onward.To {
			next, err := r.Route(ctx, to)
			switch {
			case rookery.Is(err, rookery.KindNotFound):
				continue
			case err != nil:
				return nil, err
			}
			next.By = x.Address
			todo = append(todo, next)
		}
	}
	if len(all) == 0 {
		return nil, rookery.E("forward", rookery.KindInvalid, ErrForwardLoop)
	}
	return all, nil
}

// forwarding is that of an entry, nil where there is none.
func (r *Router) forwarding(e *directory.Entry) *Forwarding {
	if len(e.Forward) == 0 {
		return nil
	}
	f := &Forwarding{To: slices.Clone(e.Forward)}
	if keys := r.keys(); len(keys) > 0 {
		mac := hmac.New(sha256.New, keys[0])
		mac.Write([]byte("delivered to " + e.Key))
		f.Mark = strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:15]))
	}
	return f
}

func (r *Router) keys() [][]byte {
	if r.SRSKeys == nil {
		return nil
	}
	return r.SRSKeys()
}

// validity is for how many days a bounce finds its way back: longer than others
// try.
const validity = 21

// Sender is the reverse path of what a mailbox forwards to another system: rewritten
// into the mailbox's domain, so that SPF passes there and bounces come back by us.
// The null sender, and senders of our own domains, stay. What cannot be rewritten is
// sent from the null sender. KindUnavailable: there are no keys.
func (r *Router) Sender(from string, by rookery.Address) (string, error) {
	if from == "" {
		return "", nil
	}
	a, err := rookery.ParseAddress(from)
	if err != nil || r.Directory.Local(a.Domain) {
		return from, err
	}
	w, err := srs.New(by.Domain, r.keys(), validity)
	if err != nil {
		return "", rookery.E("forward", rookery.KindUnavailable, err)
	}
	to, err := w.Forward(a, r.now())
	if err != nil {
		return "", nil
	}
	return to.String(), nil
}

func (r *Router) now() time.Time {
	if r.Clock == nil {
		return time.Now()
	}
	return r.Clock()
}

// bounced is the route of a sender that we have rewritten; ok is false for any
// other address.
func (r *Router) bounced(ctx context.Context, addr rookery.Address) (route Route, ok bool, err error) {
	keys := r.keys()
	if len(keys) == 0 || len(addr.Local) < 5 || !strings.EqualFold(addr.Local[:3], "SRS") {
		return route, false, nil
	}
	w, err := srs.New(addr.Domain, keys, validity)
	if err != nil {
		return route, false, nil
	}
	to, err := w.Reverse(addr, r.now())
	switch {
	case errors.Is(err, srs.ErrNone):
		return route, false, nil
	case err != nil:
		return route, true, rookery.E("route", rookery.KindNotFound, err)
	}
	if r.Directory.Local(to.Domain) {
		route, err = r.Route(ctx, to)
		return route, true, err
	}
	return Route{To: Bounce, Address: to}, true, nil
}
