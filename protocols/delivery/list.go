package delivery

import (
	"context"
	"errors"
	"fmt"

	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery/lists"
)

// Lists knows the lists of the directories, with who is behind them.
type Lists interface {
	// List gives the list that has an address, and everybody behind it, lists in it
	// included. KindNotFound: it is no list's.
	List(ctx context.Context, addr rookery.Address) (directory.Record, directory.Expansion, error)
}

// MaxListed is how many members a list may have: mail for one that has more comes again.
const MaxListed = 200

// ErrListTooLarge is in the chain of the KindLimit of a list that has more members.
var ErrListTooLarge = errors.New("the list has more members than are sent to at once")

// list is the route to a list; ok is false where an address is none's.
func (r *Router) list(ctx context.Context, addr rookery.Address) (route Route, ok bool, err error) {
	if r.Lists == nil {
		return route, false, nil
	}
	addr = directory.Base(addr)
	e, who, err := r.Lists.List(ctx, addr)
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return route, false, nil
	case err != nil:
		return route, true, rookery.E("route", rookery.KindUnknown, fmt.Errorf("%w: %w", ErrDirectory, err))
	case len(who.Accounts)+len(who.External) > MaxListed:
		return route, true, rookery.E("route", rookery.KindLimit, fmt.Errorf("%w: %s has %d, at most %d", ErrListTooLarge, addr,
			len(who.Accounts)+len(who.External), MaxListed))
	}
	l := lists.New(addr, &e, who)
	for _, m := range who.Accounts {
		if m.Primary != (rookery.Address{}) {
			e.Forward = append(e.Forward, m.Primary)
		}
	}
	e.Forward = append(e.Forward, who.External...)
	return Route{To: Forward, Address: addr, Forward: r.forwarding(&e.Entry), List: l}, true, nil
}
